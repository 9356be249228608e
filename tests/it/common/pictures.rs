//! Decoding with a plan that remembers every picture.
use std::{collections::BTreeMap, path::Path};

use image::RgbImage;
use ncaers::internals::media::video::{decode, DecodedFrame, Facts, Failure, FrameSink, Rejected};

/// Wants every `step`-th frame and remembers what came.
#[derive(Default)]
pub struct Every {
    pub step: u64,
    pub asked: Vec<u64>,
    pub pictures: BTreeMap<u64, RgbImage>,
}

impl FrameSink for Every {
    fn targets(&mut self, frames: u64, _: f64) -> Vec<u64> {
        self.asked.push(frames);
        (0..frames).step_by(self.step as usize).collect()
    }

    fn keep(&mut self, frame: u64, shot: DecodedFrame<'_>) -> anyhow::Result<()> {
        self.pictures.insert(frame, shot.into_rgb()?);
        Ok(())
    }

    fn lost(&mut self, frame: u64, reason: String) {
        panic!("frame {frame} is lost: {reason}");
    }
}

/// Every `step`-th frame of a clip that must decode.
pub fn all(path: &Path, step: u64) -> (Facts, Every) {
    let mut plan = Every { step, ..Every::default() };
    let facts = decode(path, false, &mut plan).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    (facts, plan)
}

/// Why a clip that must not decode does not.
pub fn rejected(path: &Path) -> Rejected {
    match decode(path, false, &mut Every { step: 1, ..Every::default() }) {
        Err(Failure::Rejected(why)) => why,
        other => panic!("{path:?} must be rejected, not {other:?}"),
    }
}
