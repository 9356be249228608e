//! The audit's CSV and JSON tables.
use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::{findings::Findings, gather::Gathered};
use crate::{
    folder::OutputFolder,
    record::Split,
    similarity::{
        align::GRID_SECONDS,
        clips::{Moment, NearDuplicateClip},
        leak::MemberVerdict,
        near_duplicates::NearDuplicate,
    },
};

/// Verdicts on the audited set's validation and test pictures, for `evaluate --clean`.
pub const CLEAN: &str = "clean.csv";

/// A row of `pairs.csv` and `pairs.json`.
#[derive(Serialize)]
struct PairRow<'a> {
    part: String,
    sample_id: &'a str,
    partner_part: String,
    partner_id: &'a str,
    distance: u32,
    mirrored: bool,
    same_bytes: bool,
    /// Whether one shows a part of the other.
    cropped: bool,
    /// Whether the pictures were compared, not their hashes alone.
    verified: bool,
    /// Difference of the pictures in standard deviations, when they were compared.
    difference: Option<f64>,
    /// How large the picture is in its partner, had neither been cropped; 1 for the same size.
    scale: Option<f64>,
    /// Degrees by which it is turned there, clockwise.
    degrees: Option<f64>,
    /// Share of the picture that the partner shows.
    shown: Option<f64>,
    /// Share of the partner that the picture shows.
    partner_shown: Option<f64>,
    /// Share of what both show that something on top hides.
    hidden: Option<f64>,
}

/// A row of `clip-pairs.csv`.
#[derive(Serialize)]
struct ClipPairRow<'a> {
    part: String,
    clip_id: &'a str,
    partner_part: String,
    partner_id: &'a str,
    mean_distance: f64,
    mirrored: bool,
    /// Seconds by which the partner starts later.
    shift_s: f64,
    same_bytes: bool,
    /// Whether it is an altered copy: cropped, with bars, a logo and so on.
    altered: bool,
    /// Seconds of the clip that pass in one of the partner's.
    speed: f64,
}

/// A row of `moments.csv`: a still that is near to a moment of a clip by hash.
#[derive(Serialize)]
struct MomentRow<'a> {
    part: String,
    sample_id: &'a str,
    clip_part: String,
    clip_id: &'a str,
    seconds: f64,
    distance: u32,
    mirrored: bool,
}

/// A row of `clean.csv`.
#[derive(Serialize)]
struct CleanRow<'a> {
    sample_id: &'a str,
    split: Split,
    near_duplicate: bool,
    same_video: bool,
    partner_id: Option<&'a str>,
    distance: Option<u32>,
}

/// A row of `clusters.csv`.
#[derive(Serialize)]
struct ClusterRow<'a> {
    cluster: &'a str,
    part: String,
    sample_id: &'a str,
}

/// A row of `runs.csv`.
#[derive(Serialize)]
struct RunRow<'a> {
    part: String,
    emotion: &'static str,
    first: &'a str,
    last: &'a str,
    pictures: usize,
}

/// Writes all tables.
pub(super) fn write(out: &OutputFolder, all: &Gathered, findings: &Findings) -> Result<()> {
    let pairs = pairs(all, findings);
    csv(out, "pairs.csv", PAIRS, &pairs)?;
    out.write_json("pairs.json", &pairs)?;
    if !all.clip_entries.is_empty() {
        csv(out, "clip-pairs.csv", CLIP_PAIRS, &clip_pairs(all, findings))?;
        csv(out, "moments.csv", MOMENTS, &moments(all, findings))?;
    }
    csv(out, CLEAN, CLEAN_COLUMNS, &clean(all, findings))?;
    csv(out, "clusters.csv", CLUSTERS, &clusters(all, findings))?;
    csv(out, "runs.csv", RUNS, &runs(all, findings))?;
    csv(out, "unreadable.csv", UNREADABLE, &all.unreadable)
}

// The columns of every table, which a table without rows names as well.
const PAIRS: &str =
    "part,sample_id,partner_part,partner_id,distance,mirrored,same_bytes,cropped,verified,\
                     difference,scale,degrees,shown,partner_shown,hidden";
const CLIP_PAIRS: &str =
    "part,clip_id,partner_part,partner_id,mean_distance,mirrored,shift_s,same_bytes,\
                          altered,speed";
const MOMENTS: &str = "part,sample_id,clip_part,clip_id,seconds,distance,mirrored";
const CLEAN_COLUMNS: &str = "sample_id,split,near_duplicate,same_video,partner_id,distance";
const CLUSTERS: &str = "cluster,part,sample_id";
const RUNS: &str = "part,emotion,first,last,pictures";
const UNREADABLE: &str = "set,id,reason,split";

fn csv<T: Serialize>(folder: &OutputFolder, name: &str, columns: &str, rows: &[T]) -> Result<()> {
    folder.write_with(name, |out| {
        let mut writer = csv::Writer::from_writer(out);
        if rows.is_empty() {
            writer.write_record(columns.split(','))?;
        }
        rows.iter().try_for_each(|row| writer.serialize(row))?;
        Ok(writer.flush()?)
    })
}

fn thousandths(n: impl Into<f64>) -> f64 {
    n.into() / 1000.0
}

fn pairs<'a>(all: &'a Gathered, findings: &Findings) -> Vec<PairRow<'a>> {
    let verdicts = findings.leaks.iter().flat_map(|(_, leak)| leak.verdicts.iter());
    let mut near_duplicates: Vec<NearDuplicate> =
        verdicts.flat_map(|v| v.near_duplicates.iter().copied()).collect();
    near_duplicates.sort_unstable();
    let row = |duplicate: NearDuplicate| {
        let (still, partner) = (&all.stills[duplicate.still], &all.stills[duplicate.partner]);
        let change = duplicate.likeness.change;
        PairRow {
            part: all.name(still.part()),
            sample_id: &still.id,
            partner_part: all.name(partner.part()),
            partner_id: &partner.id,
            distance: duplicate.likeness.distance,
            mirrored: duplicate.likeness.mirrored,
            same_bytes: duplicate.same_bytes,
            cropped: duplicate.likeness.cropped(),
            verified: duplicate.likeness.difference.is_some(),
            difference: duplicate.likeness.difference.map(thousandths),
            scale: change.map(|c| thousandths(c.scale)),
            degrees: change.map(|c| f64::from(c.turned) / 10.0),
            shown: change.map(|c| thousandths(c.shown[0])),
            partner_shown: change.map(|c| thousandths(c.shown[1])),
            hidden: change.map(|c| thousandths(c.hidden)),
        }
    };
    near_duplicates.into_iter().map(row).collect()
}

fn clip_pairs<'a>(all: &'a Gathered, findings: &Findings) -> Vec<ClipPairRow<'a>> {
    let verdicts = findings.clip_leaks.iter().flat_map(|(_, leak)| leak.verdicts.iter());
    let row = |duplicate: &NearDuplicateClip| {
        let (clip, partner) =
            (&all.clip_entries[duplicate.clip], &all.clip_entries[duplicate.partner]);
        ClipPairRow {
            part: all.name(clip.part()),
            clip_id: &clip.id,
            partner_part: all.name(partner.part()),
            partner_id: &partner.id,
            mean_distance: duplicate.alignment.mean_distance,
            mirrored: duplicate.alignment.mirrored,
            shift_s: duplicate.alignment.shift_s,
            same_bytes: duplicate.same_bytes,
            altered: duplicate.altered,
            speed: duplicate.alignment.speed,
        }
    };
    verdicts.flat_map(|v| v.near_duplicates.iter().map(row)).collect()
}

fn moments<'a>(all: &'a Gathered, findings: &Findings) -> Vec<MomentRow<'a>> {
    let row = |m: &Moment| {
        let (still, clip) = (&all.stills[m.still], &all.clip_entries[m.clip]);
        MomentRow {
            part: all.name(still.part()),
            sample_id: &still.id,
            clip_part: all.name(clip.part()),
            clip_id: &clip.id,
            seconds: m.step as f64 * GRID_SECONDS,
            distance: m.distance,
            mirrored: m.mirrored,
        }
    };
    findings.moments.iter().map(row).collect()
}

/// One row per validation and test picture of the audited set; train parts of either set count, and
/// clips to train on.
fn clean<'a>(all: &'a Gathered, findings: &Findings) -> Vec<CleanRow<'a>> {
    let mut rows: BTreeMap<usize, CleanRow<'a>> = BTreeMap::new();
    for (i, still) in all.stills.iter().enumerate() {
        if still.set == 0 && still.split != Split::Train {
            let row = CleanRow {
                sample_id: &still.id,
                split: still.split,
                near_duplicate: false,
                same_video: false,
                partner_id: None,
                distance: None,
            };
            rows.insert(i, row);
        }
    }
    let in_train = findings.leaks.iter().filter(|((_, within), _)| within.split == Split::Train);
    for verdict in in_train.flat_map(|(_, leak)| &leak.verdicts) {
        if let Some(row) = rows.get_mut(&verdict.member) {
            note(row, verdict, all);
        }
    }
    let origins = all.provenance.iter().flat_map(|provenance| provenance.of.iter().enumerate());
    for (still, (clip, part)) in origins.filter_map(|(i, origin)| Some((i, origin.as_ref()?))) {
        if let Some(row) = rows.get_mut(&still).filter(|_| part.split == Split::Train) {
            (row.near_duplicate, row.same_video) = (true, true);
            row.partner_id.get_or_insert(clip);
        }
    }
    rows.into_values().collect()
}

fn note<'a>(row: &mut CleanRow<'a>, verdict: &MemberVerdict<NearDuplicate>, all: &'a Gathered) {
    row.same_video |= verdict.same_video;
    if let Some(duplicate) = verdict.near_duplicates.first() {
        row.near_duplicate = true;
        row.partner_id = Some(&all.stills[duplicate.partner].id);
        row.distance = Some(duplicate.likeness.distance);
    }
}

/// Every picture of every cluster of two and more.
fn clusters<'a>(all: &'a Gathered, findings: &Findings) -> Vec<ClusterRow<'a>> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, root) in findings.cluster.iter().enumerate() {
        members.entry(*root).or_default().push(i);
    }
    let many = members.into_iter().filter(|(_, m)| m.len() > 1);
    let rows = many.flat_map(|(root, members)| members.into_iter().map(move |i| (root, i)));
    rows.map(|(root, i)| ClusterRow {
        cluster: &all.stills[root].id,
        part: all.name(all.stills[i].part()),
        sample_id: &all.stills[i].id,
    })
    .collect()
}

fn runs<'a>(all: &'a Gathered, findings: &Findings) -> Vec<RunRow<'a>> {
    let long = findings.runs.iter().filter(|r| r.len() > 1);
    long.map(|run| {
        let (first, last) = (&all.stills[run.start], &all.stills[run.end - 1]);
        RunRow {
            part: all.name(first.part()),
            emotion: first.emotion.name(),
            first: &first.id,
            last: &last.id,
            pictures: run.len(),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::folder_scan::Unreadable, *};

    /// The header line that a row brings with it.
    fn header(row: impl Serialize) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(row).expect("a row");
        let text = String::from_utf8(writer.into_inner().expect("in memory")).expect("text");
        text.lines().next().expect("a header").to_owned()
    }

    #[test]
    fn tables_without_rows_name_the_columns_of_those_with_rows() {
        let pair = PairRow {
            part: String::new(),
            sample_id: "",
            partner_part: String::new(),
            partner_id: "",
            distance: 0,
            mirrored: false,
            same_bytes: false,
            cropped: false,
            verified: false,
            difference: None,
            scale: None,
            degrees: None,
            shown: None,
            partner_shown: None,
            hidden: None,
        };
        assert_eq!(header(pair), PAIRS);
        let clips = ClipPairRow {
            part: String::new(),
            clip_id: "",
            partner_part: String::new(),
            partner_id: "",
            mean_distance: 0.0,
            mirrored: false,
            shift_s: 0.0,
            same_bytes: false,
            altered: false,
            speed: 1.0,
        };
        assert_eq!(header(clips), CLIP_PAIRS);
        let moment = MomentRow {
            part: String::new(),
            sample_id: "",
            clip_part: String::new(),
            clip_id: "",
            seconds: 0.0,
            distance: 0,
            mirrored: false,
        };
        assert_eq!(header(moment), MOMENTS);
        let clean = CleanRow {
            sample_id: "",
            split: Split::Test,
            near_duplicate: false,
            same_video: false,
            partner_id: None,
            distance: None,
        };
        assert_eq!(header(clean), CLEAN_COLUMNS);
        assert_eq!(
            header(ClusterRow { cluster: "", part: String::new(), sample_id: "" }),
            CLUSTERS
        );
        let run = RunRow { part: String::new(), emotion: "", first: "", last: "", pictures: 1 };
        assert_eq!(header(run), RUNS);
        let (id, reason) = (String::new(), String::new());
        assert_eq!(header(Unreadable { set: 0, id, reason, split: Split::Val }), UNREADABLE);
    }
}
