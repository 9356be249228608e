//! The leak by provenance: stills of one split whose clip gives stills to another. Not an estimate:
//! both pictures were found in the same video.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    manifest::{LocatedRow, LocatedStatus},
    record::{Emotion, Split},
    stats::{clusters::Clusters, interval::Interval, share::clustered_share},
};

/// Test stills of a class whose clip also gives train stills.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassLeak {
    /// The class; `all` for all together.
    pub label: String,
    /// Test stills whose clip was found.
    pub test: usize,
    /// Clips that they come from.
    pub clips: usize,
    /// Those whose clip also gives train stills.
    pub shared: usize,
    /// Their share; `None` without test stills.
    pub share: Option<f64>,
    /// 95 % interval of the share in a corpus of such clips: clips are drawn, not stills. `None` with
    /// fewer than two clips.
    pub interval: Option<Interval>,
}

/// The leak of all classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Leak {
    /// All together first, then the classes that have test stills.
    pub classes: Vec<ClassLeak>,
    /// Test stills whose clip was not found, of which nothing is known.
    pub unknown: usize,
}

/// The leak between train and test.
pub(super) fn of(rows: &[LocatedRow]) -> Leak {
    let found = |r: &&LocatedRow| r.status == LocatedStatus::Found;
    let clip = |r: &LocatedRow| r.clip_id.clone().unwrap_or_default();
    let train: BTreeSet<String> =
        rows.iter().filter(found).filter(|r| r.split == Some(Split::Train)).map(clip).collect();
    let test: Vec<&LocatedRow> = rows.iter().filter(|r| r.split == Some(Split::Test)).collect();
    let known: Vec<&LocatedRow> = test.iter().copied().filter(found).collect();
    let unknown = test.len() - known.len();
    if test.is_empty() {
        return Leak::default();
    }
    let mut classes = vec![share("all".into(), &known, &train)];
    let mut by_label: BTreeMap<Emotion, Vec<&LocatedRow>> = BTreeMap::new();
    for row in known.iter().copied() {
        if let Some(label) = row.label {
            by_label.entry(label).or_default().push(row);
        }
    }
    classes.extend(by_label.iter().map(|(label, own)| share(label.to_string(), own, &train)));
    Leak { classes, unknown }
}

fn share(label: String, test: &[&LocatedRow], train: &BTreeSet<String>) -> ClassLeak {
    let clip = |r: &LocatedRow| r.clip_id.clone().unwrap_or_default();
    let ids: Vec<String> = test.iter().map(|r| clip(r)).collect();
    let leaks: Vec<bool> = ids.iter().map(|id| train.contains(id)).collect();
    let shared = leaks.iter().filter(|l| **l).count();
    let clusters = Clusters::by_id(ids.iter().map(String::as_str));
    let sums = clusters.sums(|row| i64::from(leaks[row]));
    let share = (!test.is_empty()).then(|| shared as f64 / test.len() as f64);
    let interval = clustered_share(&sums, clusters.sizes()).map(|share| share.interval);
    ClassLeak { label, test: test.len(), clips: clusters.len(), shared, share, interval }
}

/// The leak as text.
///
/// # Errors
/// When memory is short.
pub(super) fn to_csv(leak: &Leak) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["label", "test_stills", "clips", "shared", "share", "lo", "hi"])?;
    let number = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
    for class in &leak.classes {
        writer.write_record([
            class.label.clone(),
            class.test.to_string(),
            class.clips.to_string(),
            class.shared.to_string(),
            number(class.share),
            number(class.interval.map(|i| i.lo)),
            number(class.interval.map(|i| i.hi)),
        ])?;
    }
    writer.into_inner().map_err(|e| e.into_error()).context("cannot write the leak")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(split: Split, clip: Option<&str>) -> LocatedRow {
        LocatedRow {
            still: "s".into(),
            split: Some(split),
            label: Some(Emotion::Sad),
            clip_id: clip.map(str::to_owned),
            frame_index: Some(1),
            run_first: Some(1),
            run_last: Some(1),
            score: Some(0.5),
            runner_up_clip_id: None,
            runner_up_score: None,
            transform: None,
            status: if clip.is_some() { LocatedStatus::Found } else { LocatedStatus::NotFound },
            reason: None,
            part: None,
            clip_path: None,
            clip_sha256: None,
            pixel_sha256: None,
            width: None,
            height: None,
        }
    }

    #[test]
    fn the_share_counts_test_stills_whose_clip_trains() {
        let rows = [
            row(Split::Train, Some("a")),
            row(Split::Test, Some("a")),
            row(Split::Test, Some("a")),
            row(Split::Test, Some("b")),
            row(Split::Test, Some("c")),
            row(Split::Test, None),
            row(Split::Val, Some("b")),
        ];
        let leak = of(&rows);
        assert_eq!((leak.unknown, leak.classes.len()), (1, 2));
        let all = &leak.classes[0];
        assert_eq!((all.test, all.clips, all.shared, all.share), (4, 3, 2, Some(0.5)));
        let interval = all.interval.expect("three clips");
        assert!(interval.lo < 0.2 && interval.hi > 0.8, "{interval:?}");
        assert_eq!(leak.classes[1].label, "Sad");
        assert_eq!(of(&rows[..1]), Leak::default());
    }
}
