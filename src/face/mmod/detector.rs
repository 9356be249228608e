//! The detector: picture in, boxes out.
use std::path::Path;

use anyhow::{ensure, Context, Result};
use image::RgbImage;
use tch::Device;

use super::{
    boxes::{before_enlarging, best_of_heaps, candidates, Overlap},
    canvas::{enlarge, paint, Layout},
    network::{Network, ScoreMap},
    ChannelOrder, Settings, Weights, MAX_UPSAMPLE,
};
use crate::{
    face::{best_first, Detector},
    output::sha256_hex,
    record::FaceBox,
};

/// dlib's face detector with its weights on one device.
#[derive(Debug)]
pub struct Mmod {
    weights: Weights,
    network: Network,
    digest: String,
    settings: Settings,
}

impl Mmod {
    /// Reads the weights and places them on `device`.
    ///
    /// # Errors
    /// When the file cannot be read or is no such network, when a setting is out of its range, or
    /// when the device refuses the weights.
    pub fn open(weights: &Path, settings: Settings, device: Device) -> Result<Self> {
        let upsample = settings.upsample;
        ensure!(
            upsample <= MAX_UPSAMPLE,
            "upsample is {upsample}, at most {MAX_UPSAMPLE} possible"
        );
        let bytes = std::fs::read(weights).with_context(|| {
            format!("cannot read {} (`just fetch-mmod` fetches it)", weights.display())
        })?;
        let digest = sha256_hex(&bytes);
        let weights = Weights::parse(&bytes)
            .with_context(|| format!("{} is not dlib's face detector", weights.display()))?;
        let network = Network::new(&weights, device)?;
        Ok(Mmod { weights, network, digest, settings })
    }

    /// The faces as dlib returns them: not clipped to the picture, best first.
    ///
    /// # Errors
    /// When LibTorch fails, for want of memory for example.
    pub fn detect_unclipped(&self, image: &RgbImage) -> Result<Vec<FaceBox>> {
        let (mut pixels, mut width, mut height) =
            (image.as_raw().clone(), image.width(), image.height());
        if self.settings.channels == ChannelOrder::Bgr {
            pixels.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
        }
        if width == 0 || height == 0 {
            return Ok(Vec::new());
        }
        for _ in 0..self.settings.upsample {
            (pixels, width, height) = enlarge(&pixels, width, height);
        }
        let Some(layout) = Layout::of(width, height) else { return Ok(Vec::new()) };
        let canvas = paint(&layout, &pixels, self.weights.means);
        let scores = self.network.scores(&canvas, layout.height, layout.width)?;
        Ok(self.faces(&scores, &layout))
    }

    fn faces(&self, map: &ScoreMap, layout: &Layout) -> Vec<FaceBox> {
        let overlap = Overlap { shared: self.weights.overlap, covered: self.weights.covered };
        let found = candidates(&map.scores, map.columns, layout, self.weights.window);
        best_of_heaps(found, overlap)
            .iter()
            .map(|c| before_enlarging(c.rect, self.settings.upsample).half_open(c.score))
            .collect()
    }
}

impl Detector for Mmod {
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<FaceBox>> {
        let (width, height) = image.dimensions();
        let faces = self.detect_unclipped(image)?;
        let mut faces: Vec<_> = faces.iter().filter_map(|f| f.clipped(width, height)).collect();
        best_first(&mut faces);
        Ok(faces)
    }

    fn name(&self) -> String {
        let Settings { upsample, channels } = self.settings;
        let weights = &self.digest[..8];
        format!("mmod(dlib cnn, weights {weights}, upsample {upsample}, channels {channels})")
    }
}
