//! The rows of a data set, made only when they are written: until then a sample is what its clip's
//! result holds and a byte that says whether it stays. A million rows would be half a gigabyte.
use std::collections::BTreeMap;

use anyhow::Result;
use sha2::{Digest, Sha256};

use super::{
    clip_result::{SavedFrame, Still},
    BuildSummary,
};
use crate::{
    digest,
    folder::OutputFolder,
    manifest::{self, Meta, PixelDigest},
    record::{Clip, Damage, Emotion, HexDigest, LedgerEntry, LedgerKind, Sample, Split},
    sampling,
    split::Balance,
};

/// Clips and ledger of a data set, and what its samples are made from.
#[derive(Debug, Default)]
pub struct Tables {
    /// In id order.
    pub(super) clips: Vec<Clip>,
    /// What each of them gave, and for samples that leak, from where.
    pub(super) drawn: Vec<Drawn>,
    /// What becomes of every sample, in the order of `clips` and of their samples.
    pub(super) fates: Vec<Fate>,
    /// Positions of the clips in the order of their samples' ids.
    pub(super) order: Vec<u32>,
    /// The ledger's rows of clips and segments.
    pub(super) ledger: Vec<LedgerEntry>,
    /// For clips that left because of another, that other.
    pub(super) partners: BTreeMap<u32, u32>,
    /// Detector's name with settings, or `none`.
    pub(super) detector: String,
    /// Whether faces were looked for in frames.
    pub(super) detected: bool,
    /// The balance of classes.
    pub(super) balance: Balance,
    /// What the tables carry beside their rows.
    pub(super) meta: Meta,
}

/// What a clip gave.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    /// The frames in the order of their samples' ids.
    pub taken: Vec<SavedFrame>,
    /// The picture, where the clip is a still.
    pub still: Option<Box<Still>>,
    /// Place of its first sample's fate.
    pub first: u32,
}

/// What becomes of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    NoFace,
    Leak,
    Balance,
}

impl Drawn {
    pub(super) fn samples(&self) -> usize {
        self.taken.len() + usize::from(self.still.is_some())
    }

    /// Where the fates of its samples lie.
    pub(super) fn fates(&self) -> std::ops::Range<usize> {
        self.first as usize..self.first as usize + self.samples()
    }

    pub(super) fn has_face(&self, k: usize) -> bool {
        match &self.still {
            Some(still) => still.face.is_some(),
            None => self.taken[k].face.is_some(),
        }
    }

    fn image_path(&self, k: usize) -> &str {
        match &self.still {
            Some(still) => &still.image_path,
            None => &self.taken[k].image_path,
        }
    }

    fn sample_id(&self, clip_id: &str, k: usize) -> String {
        match &self.still {
            Some(_) => clip_id.to_owned(),
            None => sampling::sample_id(clip_id, self.taken[k].segment.index),
        }
    }
}

impl Tables {
    /// Clips of the corpus.
    pub fn clips(&self) -> usize {
        self.clips.len()
    }

    /// Whether any sample of the clip at `c` stays so far.
    pub(super) fn provides(&self, c: usize) -> bool {
        self.fates[self.drawn[c].fates()].contains(&Fate::Kept)
    }

    /// Gives the samples of the clip at `c` that stay so far this fate.
    pub(super) fn reject(&mut self, c: usize, fate: Fate) {
        let own = &mut self.fates[self.drawn[c].fates()];
        own.iter_mut().filter(|f| **f == Fate::Kept).for_each(|f| *f = fate);
    }

    /// Samples that stay.
    pub fn kept(&self) -> usize {
        self.fates.iter().filter(|f| **f == Fate::Kept).count()
    }

    /// Samples that stay and have a face.
    pub(super) fn faces(&self) -> usize {
        let face = |(c, k): &(usize, usize)| match &self.drawn[*c].still {
            Some(still) => still.face.is_some(),
            None => self.detected && self.drawn[*c].has_face(*k),
        };
        self.places(true).filter(face).count()
    }

    /// Samples that stay although the decoder calls them damaged, and those that were drawn anew.
    pub(super) fn damaged_and_redrawn(&self) -> (usize, usize) {
        let frames = || self.places(true).filter_map(|(c, k)| self.drawn[c].taken.get(k));
        let damaged = frames().filter(|taken| taken.damage != Damage::None).count();
        (damaged, frames().filter(|taken| taken.draw > 0).count())
    }

    /// Whether the samples are stills.
    pub(super) fn are_stills(&self) -> bool {
        self.drawn.iter().any(|d| d.still.is_some())
    }

    /// Writes `samples.parquet`, `clips.parquet` and `ledger.parquet` into `folder`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &OutputFolder) -> Result<()> {
        for name in ["clips", "ledger", "samples"] {
            folder.target(format!("{name}.parquet"))?;
        }
        let pixels = self.pixels();
        if !pixels.is_empty() {
            folder.target("pixels.parquet")?;
            manifest::write_pixels(folder.path(), &pixels, &self.meta)?;
        }
        let folder = folder.path();
        manifest::write_tables(folder, &self.meta, &self.clips, self.ledger(), self.samples())
    }

    /// The digests of the decoded pixels of the samples that stay, in order, where they are known.
    fn pixels(&self) -> Vec<PixelDigest> {
        let digest = |(c, k): (usize, usize)| {
            let pixel_sha256 = &self.drawn[c].taken.get(k)?.pixel_sha256;
            let sample_id = self.drawn[c].sample_id(&self.clips[c].clip_id, k);
            (!pixel_sha256.is_empty())
                .then(|| PixelDigest { sample_id, pixel_sha256: pixel_sha256.to_string() })
        };
        self.places(true).filter_map(digest).collect()
    }

    /// Clip and sample of those that stay, or of the others, in the order of the samples' ids.
    fn places(&self, kept: bool) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.order.iter().flat_map(move |&c| {
            let fates = self.drawn[c as usize].fates();
            let first = fates.start;
            let own = fates.filter(move |&at| (self.fates[at] == Fate::Kept) == kept);
            own.map(move |at| (c as usize, at - first))
        })
    }

    /// The rows of the samples that stay, in order.
    fn samples(&self) -> impl Iterator<Item = Sample> + '_ {
        self.places(true).map(|(c, k)| {
            let (clip, drawn) = (&self.clips[c], &self.drawn[c]);
            match &drawn.still {
                Some(still) => self.still_row(clip, still),
                None => self.frame_row(clip, &drawn.taken[k]),
            }
        })
    }

    fn frame_row(&self, clip: &Clip, taken: &SavedFrame) -> Sample {
        Sample {
            sample_id: sampling::sample_id(&clip.clip_id, taken.segment.index),
            split: clip.split,
            emotion: clip.emotion,
            clip_id: clip.clip_id.clone(),
            group_id: clip.group_id.clone(),
            segment: Some(taken.segment),
            frame_index: Some(taken.frame),
            frame_ms: clip.fps.map(|fps| 1000.0 * taken.frame as f64 / fps),
            image_path: taken.image_path.clone(),
            image_sha256: taken.image_sha256.to_string(),
            width: taken.width,
            height: taken.height,
            face: taken.face.filter(|_| self.detected),
            face_count: taken.face_count.filter(|_| self.detected),
            detector: self.detector.clone(),
            damage: taken.damage,
            draw: Some(taken.draw),
        }
    }

    fn still_row(&self, clip: &Clip, still: &Still) -> Sample {
        Sample {
            sample_id: clip.clip_id.clone(),
            split: clip.split,
            emotion: clip.emotion,
            clip_id: clip.clip_id.clone(),
            group_id: clip.group_id.clone(),
            segment: None,
            frame_index: None,
            frame_ms: None,
            image_path: still.image_path.clone(),
            image_sha256: still
                .image_sha256
                .as_ref()
                .or(clip.sha256.as_ref())
                .map_or_else(String::new, HexDigest::to_string),
            width: still.width,
            height: still.height,
            face: still.face,
            face_count: still.face_count,
            detector: self.detector.clone(),
            damage: Damage::None,
            draw: None,
        }
    }

    /// The rows of what was left out, in order: clips, segments, samples.
    fn ledger(&self) -> impl Iterator<Item = LedgerEntry> + '_ {
        let samples = self.places(false);
        self.ledger.iter().cloned().chain(samples.map(|(c, k)| self.left_out(c, k)))
    }

    fn left_out(&self, c: usize, k: usize) -> LedgerEntry {
        let (clip, drawn) = (&self.clips[c], &self.drawn[c]);
        let partner = self.partners.get(&(c as u32)).map(|&p| &self.clips[p as usize]);
        let fate = self.fates[drawn.first as usize + k];
        let detail = match (fate, partner) {
            (Fate::Leak, Some(partner)) => format!("its video is also in {}", partner.split),
            (Fate::Balance, _) => {
                format!("{} in {} is cut to {}", clip.emotion, clip.split, self.balance)
            }
            _ => "no face was found".into(),
        };
        LedgerEntry {
            kind: LedgerKind::Sample,
            id: drawn.sample_id(&clip.clip_id, k),
            reason: fate.reason().into(),
            detail,
            partner_id: partner.filter(|_| fate == Fate::Leak).map(|p| p.clip_id.clone()),
        }
    }

    /// The pictures of the samples that stay, relative to the output folder, in no order.
    pub(super) fn pictures(&self) -> impl Iterator<Item = &str> {
        self.places(true).map(|(c, k)| self.drawn[c].image_path(k))
    }

    /// What is counted of a finished data set.
    pub(super) fn summary(&self) -> BuildSummary {
        let mut summary = BuildSummary { clips: self.clips.len(), ..BuildSummary::default() };
        let mut counts: BTreeMap<(Split, Emotion), usize> = BTreeMap::new();
        for (clip, drawn) in self.clips.iter().zip(&self.drawn) {
            let kept = self.fates[drawn.fates()].iter().filter(|f| **f == Fate::Kept).count();
            summary.clips_used += usize::from(kept > 0);
            *counts.entry((clip.split, clip.emotion)).or_default() += kept;
        }
        for ((split, emotion), count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let classes = summary.samples.entry(split.name().into()).or_default();
            classes.insert(emotion.name().into(), count);
        }
        let mut note = |kind: LedgerKind, reason: &str| {
            *summary.left_out.entry(format!("{} {reason}", kind.name())).or_default() += 1;
        };
        let left_out = self.ledger.iter().filter(|e| e.kind != LedgerKind::Split);
        left_out.for_each(|e| note(e.kind, &e.reason));
        let out = self.fates.iter().filter(|f| **f != Fate::Kept);
        out.for_each(|fate| note(LedgerKind::Sample, fate.reason()));
        summary
    }
}

impl Fate {
    /// The ledger's reason code.
    fn reason(self) -> &'static str {
        match self {
            Fate::Kept => "",
            Fate::NoFace => "no_face",
            Fate::Leak => "leak",
            Fate::Balance => "balance",
        }
    }
}

/// SHA-256 over the identity, place and content of every clip.
pub(super) fn input_digest(clips: &[Clip]) -> String {
    let mut digest = Sha256::new();
    for clip in clips {
        let sha256 = clip.sha256.as_ref().map_or_else(|| "-".to_owned(), HexDigest::to_string);
        digest.update(format!("{}\t{}\t{sha256}\n", clip.clip_id, clip.path));
    }
    digest::hex(&digest.finalize())
}
