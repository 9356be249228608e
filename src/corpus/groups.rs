//! What must not cross splits, from a list beside a corpus: the show, film or person of each clip.
use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{ensure, Context, Result};

use super::{columns::Columns, Listing};

/// Gives the clips of `listing` the groups of the list at `path`, with the columns `path` (below the
/// corpus, with or without its ending, or a clip_id) and `group`.
///
/// # Errors
/// When it cannot be read, gives a clip two groups, or speaks of no clip at all.
pub fn assign(listing: &mut Listing, path: &Path) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    grouped(listing, &bytes).with_context(|| path.display().to_string())
}

fn grouped(listing: &mut Listing, bytes: &[u8]) -> Result<()> {
    let list = Columns::read(bytes, &["path", "group"])?;
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, clip) in listing.clips.iter().enumerate() {
        let bare = Path::new(&clip.shown).with_extension("").to_string_lossy().into_owned();
        for name in [clip.shown.clone(), bare, clip.clip_id.clone()] {
            let known = places.entry(name).or_default();
            if known.last() != Some(&at) {
                known.push(at);
            }
        }
    }
    let (mut lines, mut unknown) = (0, 0);
    for line in list.lines() {
        let (Some(path), Some(group)) = (line.get("path"), line.get("group")) else { continue };
        lines += 1;
        let path = path.replace('\\', "/");
        let Some(clips) = places.get(path.trim_start_matches("./")) else {
            unknown += 1;
            continue;
        };
        for &at in clips {
            let clip = &mut listing.clips[at];
            let same = clip.group.as_deref().is_none_or(|other| other == group);
            ensure!(same, "line {}: {} has the group of another line too", line.number, clip.shown);
            clip.group = Some(group.to_owned());
        }
    }
    ensure!(unknown < lines, "none of its {lines} lines speaks of a clip of the corpus");
    let bare = listing.clips.iter().filter(|clip| clip.group.is_none()).count();
    if unknown > 0 {
        listing
            .remarks
            .push(format!("{unknown} of {lines} groups are of clips that are not there"));
    }
    if bare > 0 {
        listing.remarks.push(format!("{bare} of {} clips have no group", listing.clips.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{scan, tests::tree};

    #[test]
    fn clips_get_the_groups_of_a_list() {
        let dir =
            tree(&["train/Sad/1.avi", "train/Sad/2.avi", "test/Sad/a/1.avi", "test/Fear/9.avi"]);
        let scanned = || scan(dir.path()).expect("scans");
        let mut listing = scanned();
        let text = b"path;group\ntrain/Sad/1.avi;film A\n./train/Sad/2;film A\ntest/Sad/a__1;film B\nx;y\n";
        grouped(&mut listing, text).expect("reads");
        let groups: Vec<_> = listing.clips.iter().map(|c| c.group.as_deref()).collect();
        assert_eq!(groups, [None, Some("film B"), Some("film A"), Some("film A")]);
        let remarks =
            ["1 of 4 groups are of clips that are not there", "1 of 4 clips have no group"];
        assert_eq!(listing.remarks, remarks);
        let told = |text: &str| {
            format!("{:#}", grouped(&mut scanned(), text.as_bytes()).expect_err("refused"))
        };
        assert!(told("path,group\nx,y\n").contains("none of its 1 lines speaks of a clip"));
        assert!(told("path,show\n").contains("column `group` is missing"));
        let two = "path,group\ntrain/Sad/1.avi,a\ntrain/Sad/1,b\n";
        assert!(told(two).contains("line 3: train/Sad/1.avi has the group of another line too"));
    }
}
