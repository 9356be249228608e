//! What is done so far: one line per finished clip, appended as it comes.
use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use super::{clip_result::ClipResult, lines::Lines, results::ClipResults};
use crate::{folder::OutputFolder, words::Store};

/// The journal's name in a build's folder.
const NAME: &str = "clips.jsonl";

/// The results of a build's clips, on disk and in memory.
#[derive(Debug)]
pub(super) struct Journal {
    lines: Lines,
    results: Results,
}

/// What came of clips.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// Their seconds are in the sums below, since a map for each is half its size.
    pub clips: ClipResults,
    /// Seconds of all clips, by stage.
    pub stage_seconds: BTreeMap<String, f64>,
    /// Where views lie, which are ten times the rest.
    aside: Store,
}

impl Results {
    /// None yet; what is too much to hold goes into a file without a name in `folder`.
    pub(super) fn within(folder: &Path) -> Self {
        Results { aside: Store::within(folder), ..Results::default() }
    }

    /// Remembers a result; a later one of the same clip counts.
    fn insert(&mut self, mut result: ClipResult) {
        for (stage, seconds) in std::mem::take(&mut result.seconds) {
            *self.stage_seconds.entry(stage).or_default() += seconds;
        }
        result.put_aside(&mut self.aside);
        self.clips.insert(result);
    }

    /// Takes over those of another shard.
    pub(super) fn add(&mut self, other: Results) {
        self.clips.extend(other.clips.into_results());
        for (stage, seconds) in other.stage_seconds {
            *self.stage_seconds.entry(stage).or_default() += seconds;
        }
    }
}

impl Journal {
    /// Opens or makes the journal of a folder; half a line at its end is cut off.
    pub(super) fn open(folder: &OutputFolder) -> Result<Self> {
        let mut results = Results::within(folder.path());
        let lines = Lines::open(folder, NAME, |result| results.insert(result))?;
        Ok(Journal { lines, results })
    }

    /// The results of a folder that another build filled, with what is too much to hold in a file in
    /// the folder `aside`.
    pub(super) fn read(folder: &Path, aside: &Path) -> Result<Results> {
        let mut results = Results::within(aside);
        Lines::read(&folder.join(NAME), |result| results.insert(result))?;
        Ok(results)
    }

    pub(super) fn has(&self, clip_id: &str) -> bool {
        self.results.clips.get(clip_id).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.results.clips.count()
    }

    /// Hands the results over; the file stays.
    pub(super) fn take_results(&mut self) -> Results {
        std::mem::take(&mut self.results)
    }

    /// Forgets clips whose pictures are not all there, so that they are done again.
    pub(super) fn forget_incomplete(&mut self, folder: &Path) {
        let is_complete = |r: &ClipResult| {
            let stills = r.still.iter().map(|s| &s.image_path);
            let mut paths = r.samples.iter().map(|s| &s.image_path).chain(stills);
            paths.all(|path| folder.join(path).is_file())
        };
        if !self.results.clips.iter().all(is_complete) {
            let clips = std::mem::take(&mut self.results.clips).into_results();
            self.results.clips = clips.filter(is_complete).collect();
        }
    }

    /// Writes a result and remembers it.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub(super) fn append(&mut self, result: ClipResult) -> Result<()> {
        self.lines.append(&result)?;
        self.results.insert(result);
        Ok(())
    }

    /// Removes the file; the tables hold everything now.
    pub(super) fn remove(self, folder: &OutputFolder) -> Result<()> {
        folder.retain(|name| name != Path::new(NAME))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::folder;

    fn result(id: &str) -> ClipResult {
        ClipResult::rejected(id, "empty_file", "the file is empty".into())
    }

    #[test]
    fn half_a_line_is_cut_off_and_the_rest_kept() {
        let dir = tempfile::tempdir().expect("temp dir");
        let folder = folder::claim_standing(dir.path(), "build").expect("claimed");
        let mut journal = Journal::open(&folder).expect("open");
        journal.append(result("a")).expect("append");
        journal.append(result("b")).expect("append");
        drop(journal);
        let path = dir.path().join(NAME);
        let whole = fs::read(&path).expect("read");
        for cut in [1, 10, whole.len() / 2 - 1] {
            fs::write(&path, &whole[..whole.len() - cut]).expect("write");
            let mut journal = Journal::open(&folder).expect("open");
            assert!(journal.has("a") && !journal.has("b"), "{cut}");
            journal.append(result("b")).expect("append");
            drop(journal);
            assert_eq!(fs::read(&path).expect("read"), whole, "{cut}");
        }
    }

    #[test]
    fn clips_without_their_pictures_are_done_again() {
        let dir = tempfile::tempdir().expect("temp dir");
        let folder = folder::claim_standing(dir.path(), "build").expect("claimed");
        let mut journal = Journal::open(&folder).expect("open");
        journal.append(result("a")).expect("append");
        journal.forget_incomplete(dir.path());
        assert_eq!(journal.len(), 1, "a rejected clip has no pictures to miss");
    }
}
