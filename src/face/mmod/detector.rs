//! The detector: pictures in, boxes out.
use std::path::Path;

use anyhow::{ensure, Context, Result};
use image::RgbImage;
use tch::{Device, Tensor};

use super::{
    boxes::{before_enlarging, best_of_heaps, candidates, first_level, Candidate, Overlap},
    canvas::{enlarge, Canvas},
    layout::{Layout, Tile},
    network::Network,
    painter::Painter,
    resize::enlarged,
    ChannelOrder, MmodSettings, Weights, MAX_UPSAMPLE,
};
use crate::{
    device,
    digest::sha256_hex,
    face::{best_first, Detector},
    record::FaceBox,
};

/// The largest canvas in pixels: some 3 GB, and on a GPU 5 more for the network's first layer.
const MAX_CANVAS: usize = 1 << 28;

/// dlib's face detector with its weights on one device.
#[derive(Debug)]
pub struct Mmod {
    weights: Weights,
    network: Network,
    digest: String,
    settings: MmodSettings,
    device: Device,
    /// Whether canvases are painted where the network is, many at once.
    paints_there: bool,
    /// The plan for that, for the last size of pictures.
    painter: Option<Painter>,
    /// The canvas of the last picture that was painted here.
    canvas: Option<Canvas>,
}

/// Pictures that a GPU is given together: canvases of 1600 x 1600 pixels take about a gigabyte.
const GPU_BATCH: usize = 16;

/// The canvas of pictures of one size, and what of it is searched.
struct Search {
    layout: Layout,
    parts: Vec<Tile>,
}

impl Mmod {
    /// Reads the weights and places them on `device`; the network computes in full f32 whatever is
    /// set for others.
    ///
    /// # Errors
    /// When the file cannot be read or is no such network, when a setting is out of its range, or
    /// when the device refuses the weights.
    pub fn open(weights: &Path, settings: MmodSettings, device: Device) -> Result<Self> {
        let upsample = settings.upsample;
        ensure!(
            upsample <= MAX_UPSAMPLE,
            "upsample is {upsample}, at most {MAX_UPSAMPLE} possible"
        );
        let bytes = std::fs::read(weights).with_context(|| {
            format!("cannot read {} (`ncaers fetch-mmod` fetches it)", weights.display())
        })?;
        let digest = sha256_hex(&bytes);
        let weights = Weights::parse(&bytes)
            .with_context(|| format!("{} is not dlib's face detector", weights.display()))?;
        let on_gpu = device != Device::Cpu;
        let network = Network::new(&weights, device)?;
        let (painter, canvas) = (None, None);
        Ok(Mmod {
            weights,
            network,
            digest,
            settings,
            device,
            paints_there: on_gpu,
            painter,
            canvas,
        })
    }

    /// The faces as dlib returns them: not clipped to the picture, best first.
    ///
    /// # Errors
    /// When a picture is too large for the network, or when LibTorch fails.
    pub fn detect_unclipped(&mut self, image: &RgbImage) -> Result<Vec<FaceBox>> {
        let mut faces = self.search_together(std::slice::from_ref(image))?;
        Ok(faces.pop().expect("one answer per picture"))
    }

    /// The faces of pictures of one size.
    fn search_together(&mut self, images: &[RgbImage]) -> Result<Vec<Vec<FaceBox>>> {
        let size = images[0].dimensions();
        let Some(search) = self.search_of(size)? else { return Ok(vec![Vec::new(); images.len()]) };
        if self.paints_there && !search.layout.overlaps_itself() {
            let canvases = self.painted_there(images, &search.layout)?;
            return self.faces_on(&canvases, &search);
        }
        // One by one: the processor gains nothing from more, and one canvas is used again.
        let mut faces = Vec::with_capacity(images.len());
        for image in images {
            let canvas = self.painted_here(image, &search.layout);
            faces.extend(canvas.with_tensor(|canvas| self.faces_on(canvas, &search))?);
            self.canvas = Some(canvas);
        }
        Ok(faces)
    }

    /// The faces on each of the canvases `[N, 3, height, width]`.
    fn faces_on(&self, canvases: &Tensor, search: &Search) -> Result<Vec<Vec<FaceBox>>> {
        let count = canvases.size()[0] as usize;
        let mut found = vec![Vec::new(); count];
        for part in &search.parts {
            let scores = device::exactly(|| self.network.scores(&piece(canvases, part)?))?;
            for (found, map) in found.iter_mut().zip(scores.chunks_exact(scores.len() / count)) {
                found.extend(candidates(map, &search.layout, part, self.weights.window));
            }
        }
        Ok(found.into_iter().map(|found| self.faces(found)).collect())
    }

    /// `None` where the network has no room or no level could hold a face of the smallest size.
    fn search_of(&self, (width, height): (u32, u32)) -> Result<Option<Search>> {
        let MmodSettings { upsample, min_face, .. } = self.settings;
        if width == 0 || height == 0 {
            return Ok(None);
        }
        let too_large = || {
            format!(
                "a picture of {width} x {height} enlarged {upsample} times is too large for mmod"
            )
        };
        let size = (u64::from(width), u64::from(height));
        let (wide, high) = (0..upsample).fold(size, |size, _| enlarged(size));
        // A canvas is higher than its picture; this keeps the layout itself cheap.
        ensure!(wide.saturating_mul(high) <= MAX_CANVAS as u64, too_large());
        let Some(layout) = Layout::of(wide as u32, high as u32) else { return Ok(None) };
        ensure!(layout.width * layout.height <= MAX_CANVAS, too_large());
        let parts = layout.parts(first_level(min_face, self.weights.window, upsample));
        Ok((!parts.is_empty()).then_some(Search { layout, parts }))
    }

    /// The canvas of a picture, painted by the processor.
    fn painted_here(&mut self, image: &RgbImage, layout: &Layout) -> Canvas {
        let mut large = (self.pixels(std::slice::from_ref(image)), image.width(), image.height());
        for _ in 0..self.settings.upsample {
            large = enlarge(&large.0, large.1, large.2);
        }
        let mut canvas = match self.canvas.take().filter(|canvas| canvas.layout() == layout) {
            Some(canvas) => canvas,
            None => Canvas::new(layout.clone()),
        };
        canvas.paint(&large.0, self.weights.means);
        canvas
    }

    /// Canvases `[N, 3, height, width]` of pictures of one size, painted where the network is.
    fn painted_there(&mut self, images: &[RgbImage], layout: &Layout) -> Result<Tensor> {
        let (size, pixels) = (images[0].dimensions(), self.pixels(images));
        let MmodSettings { upsample, .. } = self.settings;
        let painter = match self.painter.take().filter(|painter| painter.is_for(size)) {
            Some(painter) => Ok(painter),
            None => Painter::new(size, upsample, layout, self.weights.means, self.device),
        };
        painter
            .and_then(|painter| self.painter.insert(painter).paint(&pixels))
            .context("cannot place the pictures before the face detector")
    }

    /// The bytes of pictures, one after the other, channels as the network is to see them.
    fn pixels(&self, images: &[RgbImage]) -> Vec<u8> {
        let mut pixels = images.iter().map(|i| &**i.as_raw()).collect::<Vec<_>>().concat();
        if self.settings.channels == ChannelOrder::Bgr {
            pixels.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
        }
        pixels
    }

    /// Faces of a picture, best first, from every place above 0.
    fn faces(&self, found: Vec<Candidate>) -> Vec<FaceBox> {
        let overlap = Overlap { shared: self.weights.overlap, covered: self.weights.covered };
        best_of_heaps(found, overlap)
            .iter()
            .map(|c| before_enlarging(c.rect, self.settings.upsample).half_open(c.score))
            .collect()
    }
}

/// The pixels of canvases `[N, 3, height, width]` that a part sees.
fn piece(canvases: &Tensor, part: &Tile) -> Result<Tensor> {
    let pixels = part.pixels;
    let rows = canvases.f_narrow(2, pixels.top, pixels.height());
    Ok(rows?.f_narrow(3, pixels.left, pixels.width())?)
}

/// Clipped to a picture of `size`, best first.
fn clipped(faces: Vec<FaceBox>, (width, height): (u32, u32)) -> Vec<FaceBox> {
    let mut faces: Vec<_> = faces.iter().filter_map(|f| f.clipped(width, height)).collect();
    best_first(&mut faces);
    faces
}

impl Detector for Mmod {
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<FaceBox>> {
        Ok(clipped(self.detect_unclipped(image)?, image.dimensions()))
    }

    /// Neighbours of one size go through the network together.
    fn detect_batch(&mut self, images: &[RgbImage]) -> Result<Vec<Vec<FaceBox>>> {
        let mut all = Vec::with_capacity(images.len());
        for same in images.chunk_by(|a, b| a.dimensions() == b.dimensions()) {
            let size = same[0].dimensions();
            all.extend(self.search_together(same)?.into_iter().map(|faces| clipped(faces, size)));
        }
        Ok(all)
    }

    fn batch(&self) -> usize {
        // The processor gains nothing, a GPU is idle with one picture at a time.
        if self.paints_there {
            GPU_BATCH
        } else {
            1
        }
    }

    fn name(&self) -> String {
        let MmodSettings { upsample, channels, min_face } = self.settings;
        let weights = &self.digest[..8];
        let mut name =
            format!("mmod(dlib cnn, weights {weights}, upsample {upsample}, channels {channels}");
        if min_face > 0 {
            name.push_str(&format!(", min_face {min_face}"));
        }
        if self.device != Device::Cpu {
            name.push_str(", on cuda");
        }
        name + ")"
    }
}

#[cfg(test)]
#[path = "detector_tests.rs"]
mod tests;
