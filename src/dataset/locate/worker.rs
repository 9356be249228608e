//! One clip in a worker process: decoded once, every frame hashed, candidates settled on pixels.
use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    fs::File,
    path::PathBuf,
    rc::Rc,
};

use anyhow::{Context, Result};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use super::{
    frame::{Grey, SeenFrame},
    index::StillIndex,
    laying::Find,
    origin::Origin,
    search::search,
    still::StillPicture,
    stills::{self, Still, Stills},
    LocateOptions, CELLS, STILLS,
};
use crate::{
    corpus::ClipSource,
    dataset::job::{self, Work},
    digest,
    media::video::{self, DecodedFrame, Failure, FrameSink, KeptFrame, RawFrame},
};

/// Frames that are held and searched together.
const CHUNK: usize = 160;
/// Stills whose pixels are held, 1.5 MB each at 712 x 400.
const HELD: usize = 48;

/// What a worker needs to begin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::dataset) struct Setup {
    corpus: OsString,
    /// The output folder, where the stills' hashes and cells are.
    out: OsString,
    stills: usize,
}

impl Setup {
    pub(super) fn new(options: &LocateOptions, stills: &Stills) -> Result<Self> {
        let (corpus, out) = (job::absolute(&options.corpus)?, job::absolute(&options.out)?);
        Ok(Setup { corpus, out, stills: stills.all.len() })
    }
}

/// A clip to search.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::dataset) struct Job {
    pub clip_id: String,
    path: OsString,
    shown: String,
}

impl Job {
    pub(super) fn new(clip: &ClipSource) -> Self {
        Job { clip_id: clip.clip_id.clone(), path: clip.path.clone(), shown: clip.shown.clone() }
    }
}

impl job::Job for Job {
    type Outcome = Searched;

    fn clip_id(&self) -> &str {
        &self.clip_id
    }

    fn given_up(&self, code: &str, reason: String) -> Searched {
        Searched { failure: Some((code.to_owned(), reason)), ..Searched::of(self) }
    }
}

/// What came of a clip; a line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::dataset) struct Searched {
    pub clip_id: String,
    /// Its file, for people and tables.
    pub path: String,
    pub sha256: Option<String>,
    pub frames: u64,
    /// The stills that may be from it, in their order.
    pub origins: Vec<Origin>,
    /// Why it could not be searched: reason code and words.
    pub failure: Option<(String, String)>,
}

impl Searched {
    fn of(job: &Job) -> Self {
        Searched {
            clip_id: job.clip_id.clone(),
            path: job.shown.clone(),
            sha256: None,
            frames: 0,
            origins: Vec::new(),
            failure: None,
        }
    }
}

pub(in crate::dataset) struct Worker {
    corpus: PathBuf,
    index: StillIndex<Cells>,
    pictures: Pictures,
}

/// The stills' cells, shared by all workers of a machine.
struct Cells(Option<Mmap>);

impl AsRef<[u8]> for Cells {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Work for Worker {
    type Setup = Setup;
    type Job = Job;

    fn start(setup: Setup) -> Result<Self> {
        let out = PathBuf::from(&setup.out);
        let stills = stills::kept(&out.join(STILLS))?;
        let path = out.join(CELLS);
        let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // SAFETY: the file is the output folder's own and finished; nothing writes into it in place.
        let cells = unsafe { Mmap::map(&file) }
            .with_context(|| format!("cannot read {}", path.display()))?;
        let hashes = stills.iter().map(|s| s.hash).collect();
        Ok(Worker {
            corpus: PathBuf::from(setup.corpus),
            index: StillIndex::new(hashes, Cells(Some(cells)))?,
            pictures: Pictures { stills, held: VecDeque::new() },
        })
    }

    fn answer(&mut self, job: &Job, alive: &mut dyn FnMut()) -> Result<Searched> {
        let path = self.corpus.join(&job.path);
        let sha256 = digest::sha256_file(&path).ok();
        let mut seeker = Seeker {
            index: &self.index,
            pictures: &mut self.pictures,
            frames: Vec::new(),
            origins: BTreeMap::new(),
            alive,
        };
        match video::decode(&path, false, &mut seeker) {
            Ok(facts) => {
                seeker.search();
                let origins = seeker.origins.into_values().collect();
                Ok(Searched { sha256, frames: facts.frames, origins, ..Searched::of(job) })
            }
            Err(Failure::Rejected(why)) => Ok(Searched {
                sha256,
                failure: Some((why.code().to_owned(), why.to_string())),
                ..Searched::of(job)
            }),
            Err(Failure::Keep(error)) => Err(error),
        }
    }
}

/// The pixels of stills, the last used.
struct Pictures {
    stills: Vec<Still>,
    held: VecDeque<(u32, Rc<StillPicture>)>,
}

impl Pictures {
    /// `None` where the file is gone or another by now.
    fn get(&mut self, still: u32) -> Option<Rc<StillPicture>> {
        if let Some(at) = self.held.iter().position(|(s, _)| *s == still) {
            let found = self.held.remove(at)?;
            let picture = found.1.clone();
            self.held.push_back(found);
            return Some(picture);
        }
        let (rgb, _) = self.stills.get(still as usize)?.rgb().ok()?;
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        let picture = Rc::new(StillPicture::new(width, height, rgb.as_raw()));
        if self.held.len() >= HELD {
            self.held.pop_front();
        }
        self.held.push_back((still, picture.clone()));
        Some(picture)
    }
}

impl Grey for KeptFrame {
    fn size(&self) -> (usize, usize) {
        KeptFrame::size(self)
    }

    fn row(&self, y: usize) -> &[u8] {
        KeptFrame::row(self, y)
    }
}

/// Searches a clip's frames as they come.
struct Seeker<'a> {
    index: &'a StillIndex<Cells>,
    pictures: &'a mut Pictures,
    frames: Vec<SeenFrame<KeptFrame>>,
    /// The best so far, by still.
    origins: BTreeMap<u32, Origin>,
    alive: &'a mut dyn FnMut(),
}

impl Seeker<'_> {
    /// Searches the frames that are held and lets go of them.
    fn search(&mut self) {
        let frames = std::mem::take(&mut self.frames);
        if frames.is_empty() {
            return;
        }
        (self.alive)();
        for find in search(&frames, self.index, |still| self.pictures.get(still)) {
            self.note(&frames, find);
        }
    }

    fn note(&mut self, frames: &[SeenFrame<KeptFrame>], find: Find) {
        let still = find.still;
        let before = self.origins.get(&still);
        if before.is_some_and(|old| !old.is_worse_than(&find)) {
            return;
        }
        let at = frames.iter().find(|f| f.index == find.frame);
        let digest = at.map(|f| f.picture.pixel_digest()).unwrap_or_default();
        self.origins.insert(still, Origin::new(&find, digest));
    }
}

impl FrameSink for Seeker<'_> {
    fn targets(&mut self, _: u64, _: f64) -> Vec<u64> {
        Vec::new()
    }

    fn sees_all(&self) -> bool {
        true
    }

    fn wants_signature(&self) -> bool {
        false
    }

    fn see(&mut self, frame: u64, picture: RawFrame<'_>) -> Result<()> {
        if frame == 0 {
            self.frames.clear();
            self.origins.clear();
        }
        // What has no brightness shows no still.
        let Some(seen) = picture.keep().ok().and_then(|kept| SeenFrame::new(frame, kept)) else {
            return Ok(());
        };
        let other_size = self.frames.last().is_some_and(|last| last.size() != seen.size());
        if other_size || self.frames.len() >= CHUNK {
            self.search();
        }
        self.frames.push(seen);
        Ok(())
    }

    fn keep(&mut self, _: u64, _: DecodedFrame<'_>) -> Result<()> {
        Ok(())
    }

    fn lost(&mut self, _: u64, _: String) {}

    fn alive(&mut self) {
        (self.alive)();
    }
}
