//! Which part of a job array this process is, as the schedulers tell their jobs.
//!
//! | scheduler | index | how many | first |
//! |---|---|---|---|
//! | Slurm | `SLURM_ARRAY_TASK_ID` | `SLURM_ARRAY_TASK_COUNT` | `SLURM_ARRAY_TASK_MIN` |
//! | PBS | `PBS_ARRAY_INDEX`, `PBS_ARRAYID` | not told | 1 |
//! | LSF | `LSB_JOBINDEX` | `LSB_JOBINDEX_END` | 1 |
//! | SGE | `SGE_TASK_ID` | `SGE_TASK_LAST` | `SGE_TASK_FIRST` |
//! | Kubernetes | `JOB_COMPLETION_INDEX` | not told | 0 |
//! | AWS Batch | `AWS_BATCH_JOB_ARRAY_INDEX` | `AWS_BATCH_JOB_ARRAY_SIZE` | 0 |
use anyhow::{bail, ensure, Context, Result};

/// One part of an array of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayPart {
    /// Which, from 1.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

/// How a scheduler tells a job its place.
struct Scheduler {
    name: &'static str,
    /// Variables of which one holds the index.
    index: &'static [&'static str],
    /// What the first index is: a number or the variable that holds it.
    first: Start,
    /// The distance of two indices.
    step: Option<&'static str>,
    size: Size,
}

enum Start {
    At(usize),
    Told(&'static str),
}

/// How the number of parts follows.
enum Size {
    Count(&'static str),
    Last(&'static str),
    Unknown,
}

const SCHEDULERS: &[Scheduler] = &[
    Scheduler {
        name: "Slurm",
        index: &["SLURM_ARRAY_TASK_ID"],
        first: Start::Told("SLURM_ARRAY_TASK_MIN"),
        step: Some("SLURM_ARRAY_TASK_STEP"),
        size: Size::Count("SLURM_ARRAY_TASK_COUNT"),
    },
    Scheduler {
        name: "PBS",
        index: &["PBS_ARRAY_INDEX", "PBS_ARRAYID"],
        first: Start::At(1),
        step: None,
        size: Size::Unknown,
    },
    Scheduler {
        name: "LSF",
        index: &["LSB_JOBINDEX"],
        first: Start::At(1),
        step: Some("LSB_JOBINDEX_STEP"),
        size: Size::Last("LSB_JOBINDEX_END"),
    },
    Scheduler {
        name: "SGE",
        index: &["SGE_TASK_ID"],
        first: Start::Told("SGE_TASK_FIRST"),
        step: Some("SGE_TASK_STEPSIZE"),
        size: Size::Last("SGE_TASK_LAST"),
    },
    Scheduler {
        name: "Kubernetes",
        index: &["JOB_COMPLETION_INDEX"],
        first: Start::At(0),
        step: None,
        size: Size::Unknown,
    },
    Scheduler {
        name: "AWS Batch",
        index: &["AWS_BATCH_JOB_ARRAY_INDEX"],
        first: Start::At(0),
        step: None,
        size: Size::Count("AWS_BATCH_JOB_ARRAY_SIZE"),
    },
];

/// A variable of the environment by name.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The part that the environment names; `count` says of how many where the scheduler does not.
///
/// # Errors
/// When no scheduler names an index, or two do, or the number of parts is not known or contradicts
/// `count`, or the indices have gaps.
pub fn part(environment: Environment, count: Option<usize>) -> Result<ArrayPart> {
    let mut found = Vec::new();
    for scheduler in SCHEDULERS {
        let told = |name: &&'static str| {
            Some((*name, environment(name).filter(|text| is_told(scheduler, text))?))
        };
        found.extend(scheduler.index.iter().find_map(told).map(|index| (scheduler, index)));
    }
    match &found[..] {
        [(scheduler, (name, index))] => scheduler.part(environment, name, index, count),
        [] => bail!(
            "no job array is told of here (none of {}); say --shard I/N",
            SCHEDULERS.iter().map(|s| s.index[0]).collect::<Vec<_>>().join(", ")
        ),
        [(a, _), (b, _), ..] => {
            bail!("both {} and {} name a part of an array; say --shard I/N", a.name, b.name)
        }
    }
}

/// Jobs outside an array have `undefined` under SGE and 0 under LSF.
fn is_told(scheduler: &Scheduler, text: &str) -> bool {
    !text.is_empty() && text != "undefined" && !(scheduler.name == "LSF" && text == "0")
}

impl Scheduler {
    fn part(
        &self,
        environment: Environment,
        name: &str,
        index: &str,
        count: Option<usize>,
    ) -> Result<ArrayPart> {
        let at = number(name, index)?;
        let told = |name: &str| environment(name).map(|text| number(name, &text)).transpose();
        let first = match self.first {
            Start::At(first) => first,
            Start::Told(name) => told(name)?.unwrap_or(1),
        };
        let step = self.step.map(told).transpose()?.flatten().unwrap_or(1).max(1);
        ensure!(at >= first, "{name} is {at}; the array must begin at {first}");
        let position = (at - first) / step;
        let told = match self.size {
            Size::Count(name) => told(name)?,
            Size::Last(name) => {
                told(name)?.and_then(|last| Some(last.checked_sub(first)? / step + 1))
            }
            Size::Unknown => None,
        };
        let size = match (told, count) {
            (Some(told), Some(count)) if told != count => {
                bail!("{} says that the array has {told} parts, --shard auto/{count} that it has {count}", self.name)
            }
            (told, count) => told.or(count).with_context(|| {
                format!("{} does not say how many parts there are; say --shard auto/N", self.name)
            })?,
        };
        ensure!(
            position < size && (at - first).is_multiple_of(step),
            "{name} {at} is no part of {size} from {first}; the array's indices must have no gaps"
        );
        Ok(ArrayPart { index: position + 1, count: size })
    }
}

fn number(name: &str, text: &str) -> Result<usize> {
    text.trim().parse().with_context(|| format!("{name} is `{text}`, not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], count: Option<usize>) -> Result<(usize, usize)> {
        let find = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        part(&find, count).map(|part| (part.index, part.count))
    }

    fn error(variables: &[(&str, &str)], count: Option<usize>) -> String {
        of(variables, count).expect_err("refused").to_string()
    }

    #[test]
    fn every_scheduler_tells_the_part() {
        let slurm = |id: &'static str| {
            [
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_COUNT", "8"),
                ("SLURM_ARRAY_TASK_MIN", "0"),
                ("SLURM_ARRAY_TASK_MAX", "7"),
            ]
        };
        assert_eq!(of(&slurm("0"), None).expect("first"), (1, 8));
        assert_eq!(of(&slurm("7"), None).expect("last"), (8, 8));
        let lsf = [("LSB_JOBINDEX", "3"), ("LSB_JOBINDEX_END", "5"), ("LSB_JOBINDEX_STEP", "1")];
        assert_eq!(of(&lsf, None).expect("LSF"), (3, 5));
        let sge = [
            ("SGE_TASK_ID", "5"),
            ("SGE_TASK_FIRST", "1"),
            ("SGE_TASK_LAST", "7"),
            ("SGE_TASK_STEPSIZE", "2"),
        ];
        assert_eq!(of(&sge, None).expect("SGE"), (3, 4));
        let aws = [("AWS_BATCH_JOB_ARRAY_INDEX", "0"), ("AWS_BATCH_JOB_ARRAY_SIZE", "2")];
        assert_eq!(of(&aws, None).expect("AWS"), (1, 2));
        assert_eq!(of(&[("PBS_ARRAY_INDEX", "4")], Some(4)).expect("PBS"), (4, 4));
        assert_eq!(of(&[("PBS_ARRAYID", "1")], Some(4)).expect("Torque"), (1, 4));
        assert_eq!(of(&[("JOB_COMPLETION_INDEX", "3")], Some(4)).expect("Kubernetes"), (4, 4));
    }

    #[test]
    fn the_parts_of_an_array_are_all_of_them_once() {
        for (first, last, step) in [(0, 7, 1), (1, 8, 1), (10, 31, 7)] {
            let ids: Vec<usize> = (first..=last).step_by(step).collect();
            let count = ids.len().to_string();
            let parts = ids.iter().map(|id| {
                let (id, first, step) = (id.to_string(), first.to_string(), step.to_string());
                let variables = [
                    ("SLURM_ARRAY_TASK_ID", &*id),
                    ("SLURM_ARRAY_TASK_COUNT", &*count),
                    ("SLURM_ARRAY_TASK_MIN", &*first),
                    ("SLURM_ARRAY_TASK_STEP", &*step),
                ];
                of(&variables, None).expect("a part")
            });
            let all: Vec<_> = (1..=ids.len()).map(|index| (index, ids.len())).collect();
            assert_eq!(parts.collect::<Vec<_>>(), all);
        }
    }

    #[test]
    fn what_is_not_told_is_asked_for() {
        assert!(error(&[], None).contains("no job array is told of here"));
        assert!(error(&[("SGE_TASK_ID", "undefined")], None).contains("no job array"));
        assert!(error(&[("LSB_JOBINDEX", "0")], None).contains("no job array"));
        assert!(error(&[("PBS_ARRAY_INDEX", "1")], None).contains("say --shard auto/N"));
        assert!(error(&[("PBS_ARRAY_INDEX", "0")], Some(2)).contains("must begin at 1"));
        assert!(error(&[("JOB_COMPLETION_INDEX", "4")], Some(4)).contains("no part of 4 from 0"));
        assert!(error(&[("PBS_ARRAY_INDEX", "x")], Some(2)).contains("not a number"));
        let both = [("PBS_ARRAY_INDEX", "1"), ("SLURM_ARRAY_TASK_ID", "1")];
        assert!(error(&both, Some(2)).contains("both Slurm and PBS"));
        let aws = [("AWS_BATCH_JOB_ARRAY_INDEX", "0"), ("AWS_BATCH_JOB_ARRAY_SIZE", "2")];
        assert!(error(&aws, Some(3)).contains("has 2 parts"));
        let gaps = [
            ("SLURM_ARRAY_TASK_ID", "9"),
            ("SLURM_ARRAY_TASK_COUNT", "3"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
        ];
        assert!(error(&gaps, None).contains("must have no gaps"));
    }
}
