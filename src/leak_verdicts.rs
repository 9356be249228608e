//! What an audit says of every evaluated sample: `clean.csv` of its folder, read by whoever wants to
//! know how much of a score is leak.
use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

/// The file's name in an audit's folder.
pub const FILE: &str = "clean.csv";

/// What the audit says of a sample.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Verdict {
    /// The sample.
    pub sample_id: String,
    /// Whether train holds a near-duplicate of it.
    pub near_duplicate: bool,
    /// Whether its video gives a picture to train.
    pub same_video: bool,
}

/// The verdicts of the audit in `folder`, by sample_id.
///
/// # Errors
/// When the folder is no audit's or its list is damaged.
pub fn read(folder: &Path) -> Result<BTreeMap<String, Verdict>> {
    let path = folder.join(FILE);
    let broken =
        || format!("cannot read {}: is it a folder that `ncaers audit` wrote?", path.display());
    let mut reader = csv::Reader::from_path(&path).with_context(broken)?;
    let rows: Vec<Verdict> = reader.deserialize().collect::<Result<_, _>>().with_context(broken)?;
    Ok(rows.into_iter().map(|row| (row.sample_id.clone(), row)).collect())
}

/// The verdicts on `ids`, in their order.
///
/// # Errors
/// As [`read`], and when the audit does not know one of them.
pub fn of<'a>(folder: &Path, ids: impl Iterator<Item = &'a str>) -> Result<Vec<Verdict>> {
    let known = read(folder)?;
    let verdict = |id: &str| {
        known.get(id).cloned().with_context(|| {
            format!(
                "{} does not know sample `{id}`; audit the manifest that was predicted",
                folder.join(FILE).display()
            )
        })
    };
    ids.map(verdict).collect()
}

/// Whether each of `ids` has a near-duplicate in train.
///
/// # Errors
/// As [`of`].
pub fn near_duplicates<'a>(folder: &Path, ids: impl Iterator<Item = &'a str>) -> Result<Vec<bool>> {
    Ok(of(folder, ids)?.into_iter().map(|verdict| verdict.near_duplicate).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_come_in_the_order_that_was_asked_for() {
        let dir = tempfile::tempdir().expect("temp dir");
        let text = "sample_id,split,near_duplicate,same_video,partner_id\n\
                    test/Sad/1,test,true,false,x\ntest/Sad/2,test,false,false,\n";
        std::fs::write(dir.path().join(FILE), text).expect("writes");
        let ask = |ids: &[&'static str]| near_duplicates(dir.path(), ids.iter().copied());
        assert_eq!(ask(&["test/Sad/2", "test/Sad/1"]).expect("known"), [false, true]);
        let message = ask(&["test/Sad/3"]).expect_err("unknown").to_string();
        assert!(message.contains("does not know sample `test/Sad/3`"), "{message}");
        let missing = format!("{:#}", read(&dir.path().join("no")).expect_err("missing"));
        assert!(missing.contains("ncaers audit"), "{missing}");
    }
}
