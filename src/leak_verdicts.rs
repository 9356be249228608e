//! What an audit says of every evaluated sample: `clean.csv` of its folder, read by whoever wants to
//! know how much of a score is leak.
use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use serde::{de::DeserializeOwned, Deserialize};

/// The file's name in an audit's folder.
pub const FILE: &str = "clean.csv";

/// The list of pairs in an audit's folder.
const PAIRS: &str = "pairs.csv";

/// Two pictures that the audit found to be near-duplicates; other columns of the list are passed
/// over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ListedPair {
    /// The sample of validation or test.
    pub sample_id: String,
    /// Where its partner is: a split, or the name of another data set and a split.
    pub partner_part: String,
    /// The partner's sample_id.
    pub partner_id: String,
    /// Bits in which their hashes differ.
    pub distance: u32,
}

/// What the audit says of a sample.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SampleVerdict {
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
pub fn read(folder: &Path) -> Result<BTreeMap<String, SampleVerdict>> {
    let rows: Vec<SampleVerdict> = rows(&folder.join(FILE))?;
    Ok(rows.into_iter().map(|row| (row.sample_id.clone(), row)).collect())
}

/// Every pair that the audit in `folder` found, in the order of its list.
///
/// # Errors
/// As [`read`].
pub fn pairs(folder: &Path) -> Result<Vec<ListedPair>> {
    rows(&folder.join(PAIRS))
}

fn rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let broken =
        || format!("cannot read {}: is it a folder that `ncaers audit` wrote?", path.display());
    let mut reader = csv::Reader::from_path(path).with_context(broken)?;
    reader.deserialize().collect::<Result<_, _>>().with_context(broken)
}

/// The verdicts on `ids`, in their order.
///
/// # Errors
/// As [`read`], and when the audit does not know one of them.
pub fn of<'a>(folder: &Path, ids: impl Iterator<Item = &'a str>) -> Result<Vec<SampleVerdict>> {
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
    fn pairs_are_read_past_what_else_the_list_says_and_none_are_none() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join(PAIRS);
        std::fs::write(&path, "").expect("writes");
        assert_eq!(pairs(dir.path()).expect("empty"), []);
        let head = "part,sample_id,partner_part,partner_id,distance,mirrored\n";
        std::fs::write(&path, format!("{head}test,a,train,b,3,false\n")).expect("writes");
        let all = pairs(dir.path()).expect("reads");
        assert_eq!((all[0].sample_id.as_str(), all[0].partner_id.as_str()), ("a", "b"));
        assert_eq!((all[0].partner_part.as_str(), all[0].distance), ("train", 3));
    }

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
