//! Batches: u8 pictures of a pack become normalised f32 tensors in channels-last layout, with the
//! augmentation drawn per sample from the seed.
//!
//! On the CPU the pack stays memory-mapped and only windows are copied, the pages of the next batch
//! asked for ahead. On CUDA it lies on the device when it fits and is gathered there; else it
//! streams: a thread cuts the next batch while the device works on this one. All give the same bits.
use std::{cell::RefCell, collections::BTreeMap, sync::Arc, thread::JoinHandle};

use anyhow::{anyhow, ensure, Context, Result};
use tch::{Device, Kind, Tensor};

use super::{
    colour::{recoloured, rotated},
    config::{Augment, Flip},
    native,
};
use crate::{
    model::{self, Input, Inputs, ModelConfig, Picture, Slot},
    pack::{Pack, PackInput},
    record::NUM_CLASSES,
    seed::Draws,
};

/// Where a window of 112 x 112 stands when it is central in 128 x 171: the released code's choice.
const CENTRE: (i64, i64) = (8, 29);
/// The last place of that window.
const LAST: (i64, i64) = (16, 59);

/// One split of a pack, as one network wants to see it.
#[derive(Debug)]
pub(crate) struct Pictures {
    sources: Vec<Source>,
    /// i64 `[N]` on the device.
    targets: Tensor,
    labels: Vec<u8>,
    ids: Vec<String>,
    device: Device,
    scale: Scale,
    /// Whether the next batch is cut by a thread of its own.
    streams: bool,
    ahead: RefCell<Option<Ahead>>,
    // Last, so that the tensors that point into it go first.
    pack: Option<Arc<Pack>>,
}

/// A batch that a thread is cutting.
#[derive(Debug)]
struct Ahead {
    rows: Vec<usize>,
    occasion: String,
    /// The windows of every source.
    cuts: JoinHandle<Vec<Vec<u8>>>,
}

/// One input of the network and the pixels that it is cut from.
#[derive(Debug)]
struct Source {
    slot: Slot,
    /// u8 `[N, 3, H, W]`: the map itself, or a copy on the device.
    pixels: Tensor,
    geometry: Geometry,
}

/// The pictures of a source and the windows that are cut out of them.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    input: PackInput,
    /// Rows and columns of a picture.
    height: i64,
    width: i64,
    /// Rows and columns of the window: the network's size, or the whole picture when that is
    /// smaller and will be enlarged.
    window: (i64, i64),
}

/// Per-channel `(x - mean) / std` on the 0..=1 scale, `[1, 3, 1, 1]` each.
#[derive(Debug)]
struct Scale {
    mean: Tensor,
    inverse_std: Tensor,
}

/// A batch on the device.
#[derive(Debug)]
pub(crate) struct Batch {
    pictures: BTreeMap<Input, Tensor>,
    /// i64 `[N]`.
    pub labels: Tensor,
}

impl Batch {
    /// The batch as a network takes it.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            face: self.pictures.get(&Input::Face),
            context: self.pictures.get(&Input::Context),
            image: self.pictures.get(&Input::Image),
        }
    }
}

/// How one picture is cut and coloured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    pub top: i64,
    pub left: i64,
    pub flip: bool,
    pub brightness: f64,
    pub contrast: f64,
    pub saturation: f64,
    /// Share of the colour circle.
    pub hue: f64,
    /// Radians.
    pub rotation: f64,
}

impl Pictures {
    /// The pictures of an opened pack, as a network wants them.
    ///
    /// # Errors
    /// When the pack is empty or lacks a tensor that the network needs, or the device lacks memory.
    pub fn of(
        pack: Arc<Pack>,
        config: &ModelConfig,
        slots: &[Slot],
        device: Device,
    ) -> Result<Self> {
        ensure!(!pack.is_empty(), "the pack holds no samples of this split");
        let source = |&slot| Source::new(&pack, pack_input(slot, config), slot, device);
        let sources: Vec<Source> = slots.iter().map(source).collect::<Result<_>>()?;
        let (labels, ids) = (pack.labels().to_vec(), pack.sample_ids().to_vec());
        Self::new(sources, labels, ids, config, device, Some(pack))
    }

    /// `n` pictures of noise, to measure speed with.
    pub fn of_noise(
        n: usize,
        config: &ModelConfig,
        slots: &[Slot],
        device: Device,
    ) -> Result<Self> {
        let source = |&slot| -> Result<Source> {
            let geometry = Geometry::of(slot, pack_input(slot, config));
            let shape = [n as i64, 3, geometry.height, geometry.width];
            let pixels = Tensor::f_randint(256, shape, (Kind::Uint8, device))?;
            Ok(Source { slot, pixels, geometry })
        };
        let sources = slots.iter().map(source).collect::<Result<_>>()?;
        let labels = (0..n).map(|i| (i % NUM_CLASSES) as u8).collect();
        let ids = (0..n).map(|i| i.to_string()).collect();
        Self::new(sources, labels, ids, config, device, None)
    }

    fn new(
        sources: Vec<Source>,
        labels: Vec<u8>,
        ids: Vec<String>,
        config: &ModelConfig,
        device: Device,
        pack: Option<Arc<Pack>>,
    ) -> Result<Self> {
        let targets: Vec<i64> = labels.iter().map(|&label| i64::from(label)).collect();
        let targets = Tensor::f_from_slice(&targets)?.f_to_device(device)?;
        let scale = Scale::new(config, device)?;
        let streams = sources.iter().any(|source| source.pixels.device() != device);
        let ahead = RefCell::new(None);
        Ok(Pictures { sources, targets, labels, ids, device, scale, streams, ahead, pack })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Label of every sample, 0..=6.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Samples per class.
    pub fn class_counts(&self) -> [usize; NUM_CLASSES] {
        let mut counts = [0; NUM_CLASSES];
        self.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        counts
    }

    /// The samples `rows` as they are evaluated: central windows, nothing changed.
    pub fn plain(&self, rows: &[usize]) -> Result<Batch> {
        let looks = self.looks(rows, |slot, _| Look::central(slot));
        self.batch(rows, &looks, None)
    }

    /// The samples `rows` as they are trained on. Every draw depends on the seed, on `occasion`
    /// (such as stage and epoch) and on the sample, never on its neighbours in the batch.
    pub fn augmented(
        &self,
        rows: &[usize],
        augment: &Augment,
        seed: u64,
        occasion: &str,
    ) -> Result<Batch> {
        let looks = self.drawn(rows, augment, seed, occasion);
        let ahead = self.ahead.take().filter(|a| a.rows == rows && a.occasion == occasion);
        let cuts = ahead.map(|ahead| ahead.cuts.join());
        let cuts = cuts.transpose().map_err(|_| anyhow!("the thread that cuts batches died"))?;
        self.batch(rows, &looks, cuts)
    }

    /// Says which samples [`Pictures::augmented`] will want next, so that they are at hand by then.
    pub fn prepare(&self, rows: &[usize], augment: &Augment, seed: u64, occasion: &str) {
        let Some(pack) = self.pack.clone() else { return };
        let inputs: Vec<Geometry> = self.sources.iter().map(|source| source.geometry).collect();
        if !self.streams {
            if self.device == Device::Cpu {
                inputs.iter().for_each(|geometry| pack.expect(geometry.input, rows));
            }
            return;
        }
        let looks = self.drawn(rows, augment, seed, occasion);
        let (rows, occasion) = (rows.to_vec(), occasion.to_owned());
        let wanted = rows.clone();
        let cuts = std::thread::spawn(move || {
            let cut = |(geometry, looks): (&Geometry, &Vec<Look>)| {
                let pixels = pack.view(geometry.input).expect("every source is in the pack");
                geometry.cut(pixels, &wanted, looks)
            };
            inputs.iter().zip(&looks).map(cut).collect()
        });
        *self.ahead.borrow_mut() = Some(Ahead { rows, occasion, cuts });
    }

    /// How every row looks to every source.
    fn looks(&self, rows: &[usize], look: impl Fn(Slot, usize) -> Look) -> Vec<Vec<Look>> {
        let of = |source: &Source| rows.iter().map(|&row| look(source.slot, row)).collect();
        self.sources.iter().map(of).collect()
    }

    fn drawn(
        &self,
        rows: &[usize],
        augment: &Augment,
        seed: u64,
        occasion: &str,
    ) -> Vec<Vec<Look>> {
        self.looks(rows, |slot, row| {
            Look::drawn(slot, augment, seed, &format!("{occasion}/{}", self.ids[row]))
        })
    }

    /// `cuts` are the windows of every source where a thread has cut them.
    fn batch(
        &self,
        rows: &[usize],
        looks: &[Vec<Look>],
        cuts: Option<Vec<Vec<u8>>>,
    ) -> Result<Batch> {
        let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let index = Tensor::f_from_slice(&index)?.f_to_device(self.device)?;
        let mut cuts = cuts.map(Vec::into_iter);
        let mut pictures = BTreeMap::new();
        for (source, looks) in self.sources.iter().zip(looks) {
            let cut = match cuts.as_mut().and_then(Iterator::next) {
                Some(cut) => source.geometry.tensor(&cut)?,
                None if source.pixels.device() == Device::Cpu => source.cut_on_host(rows, looks)?,
                None => source.cut_on_device(&index, looks, self.device)?,
            };
            let picture = self.scale.apply(&cut.f_to_device(self.device)?, looks)?;
            pictures.insert(source.slot.input, source.enlarged(picture)?);
        }
        Ok(Batch { pictures, labels: self.targets.f_index_select(0, &index)? })
    }
}

/// The packed tensor that a network's input is cut from.
pub(crate) fn pack_input(slot: Slot, config: &ModelConfig) -> PackInput {
    match (slot.input, config.context, config.picture) {
        (Input::Face, ..) | (Input::Image, _, Picture::Face) => PackInput::Face,
        (Input::Image, _, Picture::Frame) => PackInput::Image,
        (Input::Context, model::Context::Masked, _) => PackInput::ContextMasked,
        (Input::Context, model::Context::Visible, _) => PackInput::ContextVisible,
    }
}

impl Look {
    pub fn central(slot: Slot) -> Self {
        let (top, left) = if slot.input == Input::Context { CENTRE } else { (0, 0) };
        Look {
            top,
            left,
            flip: false,
            brightness: 1.0,
            contrast: 1.0,
            saturation: 1.0,
            hue: 0.0,
            rotation: 0.0,
        }
    }

    /// Everything is drawn whatever is switched on, so that one option never changes another's
    /// draws. Face and context share the first coin; the rest is each picture's own.
    fn drawn(slot: Slot, augment: &Augment, seed: u64, id: &str) -> Self {
        let common = Draws::new(seed, "augment", id).chance(0.5);
        let mut draws = Draws::new(seed, &format!("augment {}", slot.input.name()), id);
        let (own, is_context) = (draws.chance(0.5), slot.input == Input::Context);
        let flip = match augment.flip {
            Flip::None => false,
            Flip::Face => common && !is_context,
            Flip::Context => common && is_context,
            Flip::Each if is_context => own,
            Flip::Each | Flip::Both => common,
        };
        let reach = i64::from(if is_context { augment.context_shift } else { augment.shift });
        let mut place = |centre: i64, last: i64| {
            let (lo, hi) = match is_context {
                true => ((centre - reach).max(0), (centre + reach).min(last)),
                false => (-reach, reach),
            };
            lo + draws.below((hi - lo + 1) as u64) as i64
        };
        let (top, left) = (place(CENTRE.0, LAST.0), place(CENTRE.1, LAST.1));
        let mut around = |width: f64, middle: f64| draws.between(middle - width, middle + width);
        Look {
            top,
            left,
            flip,
            brightness: around(augment.brightness, 1.0),
            contrast: around(augment.contrast, 1.0),
            saturation: around(augment.saturation, 1.0),
            rotation: around(augment.rotation, 0.0).to_radians(),
            hue: around(augment.hue, 0.0),
        }
    }

    fn recolours(&self) -> bool {
        [self.brightness, self.contrast, self.saturation] != [1.0; 3] || self.hue != 0.0
    }
}

impl Source {
    fn new(pack: &Pack, input: PackInput, slot: Slot, device: Device) -> Result<Self> {
        let bytes = pack.view(input).with_context(|| {
            format!("the pack has no `{0}`; run `ncaers pack` with --inputs {0}", input.name())
        })?;
        let shape = pack.shape(input).map(|side| side as i64);
        let geometry = Geometry::of(slot, input);
        // SAFETY: the map is read-only, outlives the tensor (`Pictures` holds both and drops the
        // tensor first) and holds exactly these bytes (checked when the pack was opened).
        let mapped =
            unsafe { Tensor::f_from_blob(bytes.as_ptr(), &shape, &[], Kind::Uint8, Device::Cpu)? };
        // Half of what is free stays for the network and its activations.
        let fits = || native::free_device_memory().is_none_or(|free| bytes.len() <= free / 2);
        let pixels = match device {
            Device::Cpu => mapped,
            _ if fits() => mapped.f_to_device(device)?,
            _ => mapped,
        };
        Ok(Source { slot, pixels, geometry })
    }

    /// Cuts the windows of `rows` on the CPU, u8 `[N, H, W, 3]`.
    fn cut_on_host(&self, rows: &[usize], looks: &[Look]) -> Result<Tensor> {
        // SAFETY: the tensor is contiguous u8 `[N, 3, H, W]` on the CPU, made by `new`.
        let pixels = unsafe {
            std::slice::from_raw_parts(self.pixels.data_ptr().cast::<u8>(), self.pixels.numel())
        };
        self.geometry.tensor(&self.geometry.cut(pixels, rows, looks))
    }

    /// The same by one gather on the device; `index` is i64 `[N]`.
    fn cut_on_device(&self, index: &Tensor, looks: &[Look], device: Device) -> Result<Tensor> {
        let ((height, width), n) = (self.geometry.window, looks.len() as i64);
        let spread = |values: Vec<usize>, shape: [i64; 4]| -> Result<Tensor> {
            let values: Vec<i64> = values.into_iter().map(|v| v as i64).collect();
            Ok(Tensor::f_from_slice(&values)?.f_to_device(device)?.f_view(shape)?)
        };
        let Geometry { height: lines, width: columns, .. } = self.geometry;
        let lines = looks.iter().flat_map(|l| places(l.top, height, lines, false));
        let columns = looks.iter().flat_map(|l| places(l.left, width, columns, l.flip));
        let channels = Tensor::f_arange(3, (Kind::Int64, device))?.f_view([1, 1, 1, 3])?;
        let at = [
            Some(index.f_view([n, 1, 1, 1])?),
            Some(channels),
            Some(spread(lines.collect(), [n, height, 1, 1])?),
            Some(spread(columns.collect(), [n, 1, width, 1])?),
        ];
        Ok(self.pixels.f_index(&at)?)
    }

    /// Enlarges a picture that is smaller than the network wants it.
    fn enlarged(&self, picture: Tensor) -> Result<Tensor> {
        let wanted = [self.slot.height, self.slot.width];
        if picture.size()[2..] == wanted {
            return Ok(picture);
        }
        Ok(picture.f_upsample_bilinear2d(wanted, false, None, None)?)
    }
}

impl Geometry {
    fn of(slot: Slot, input: PackInput) -> Self {
        let (height, width) = input.size();
        let (height, width) = (height as i64, width as i64);
        Geometry { input, height, width, window: (slot.height.min(height), slot.width.min(width)) }
    }

    /// Windows as they were cut, u8 `[N, H, W, 3]`.
    fn tensor(&self, cut: &[u8]) -> Result<Tensor> {
        let (height, width) = self.window;
        Ok(Tensor::f_from_slice(cut)?.f_view([-1, height, width, 3])?)
    }

    /// Cuts the windows of `rows` out of pictures u8 `[N, 3, H, W]`, colours last. What lies
    /// outside a picture repeats its edge.
    fn cut(&self, pixels: &[u8], rows: &[usize], looks: &[Look]) -> Vec<u8> {
        let (height, width) = self.window;
        let plane = (self.height * self.width) as usize;
        let mut cut = vec![0u8; rows.len() * (height * width * 3) as usize];
        let windows = cut.chunks_exact_mut((height * width * 3) as usize);
        for ((&row, look), window) in rows.iter().zip(looks).zip(windows) {
            let picture = &pixels[row * 3 * plane..(row + 1) * 3 * plane];
            let columns = places(look.left, width, self.width, look.flip);
            let lines = places(look.top, height, self.height, false);
            for (line, out) in lines.iter().zip(window.chunks_exact_mut(3 * width as usize)) {
                let start = line * self.width as usize;
                let line =
                    |channel: usize| &picture[channel * plane + start..][..self.width as usize];
                let (red, green, blue) = (line(0), line(1), line(2));
                for (out, &column) in out.chunks_exact_mut(3).zip(&columns) {
                    out.copy_from_slice(&[red[column], green[column], blue[column]]);
                }
            }
        }
        cut
    }
}

/// `length` places from `start` on in a line of `size`, kept inside it, backwards when `flip`.
fn places(start: i64, length: i64, size: i64, flip: bool) -> Vec<usize> {
    let inside = |i: i64| (start + i).clamp(0, size - 1) as usize;
    match flip {
        true => (0..length).rev().map(inside).collect(),
        false => (0..length).map(inside).collect(),
    }
}

impl Scale {
    fn new(config: &ModelConfig, device: Device) -> Result<Self> {
        let (mean, std) = config.normalization.mean_std();
        let row = |values: [f64; 3]| -> Result<Tensor> {
            let values = values.map(|v| v as f32);
            Ok(Tensor::f_from_slice(&values)?.f_to_device(device)?.f_view([1, 3, 1, 1])?)
        };
        Ok(Scale { mean: row(mean)?, inverse_std: row(std.map(|s| 1.0 / s))? })
    }

    /// u8 `[N, H, W, 3]` to normalised f32 `[N, 3, H, W]` in channels-last layout.
    fn apply(&self, cut: &Tensor, looks: &[Look]) -> Result<Tensor> {
        let mut x = cut.f_to_kind(Kind::Float)?.f_mul_scalar_(1.0 / 255.0)?;
        x = x.f_permute([0, 3, 1, 2])?;
        if looks.iter().any(Look::recolours) {
            x = recoloured(x, looks)?;
        }
        if looks.iter().any(|look| look.rotation != 0.0) {
            x = rotated(&x, looks)?;
        }
        Ok(x.f_sub_(&self.mean)?.f_mul_(&self.inverse_std)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use image::{Rgb, RgbImage};

    use super::*;
    use crate::{
        media::image as picture,
        output,
        pack::{self, Preprocessing},
        record::{Emotion, FaceBox, Sample, Split},
    };

    fn slot(input: Input, side: i64) -> Slot {
        Slot { input, height: side, width: side }
    }

    fn source(input: Input, side: i64, height: i64, width: i64) -> Source {
        let values: Vec<u8> = (0..4 * 3 * height * width).map(|i| (i * 7919 % 251) as u8).collect();
        let pixels = Tensor::from_slice(&values).view([4, 3, height, width]);
        let (slot, input) = (slot(input, side), PackInput::ContextMasked);
        let window = (side.min(height), side.min(width));
        Source { slot, pixels, geometry: Geometry { input, height, width, window } }
    }

    #[test]
    fn host_and_device_cut_the_same_bytes() {
        let source = source(Input::Context, 112, 128, 171);
        let augment = Augment { flip: Flip::Each, ..Augment::default() };
        let rows = [2usize, 0, 3, 2];
        let looks: Vec<Look> =
            (0..4).map(|i| Look::drawn(source.slot, &augment, 5, &i.to_string())).collect();
        assert!(looks.iter().any(|l| l.flip) && looks.iter().any(|l| !l.flip));
        let index = Tensor::from_slice(&rows.map(|r| r as i64));
        let host = source.cut_on_host(&rows, &looks).expect("host");
        let device = source.cut_on_device(&index, &looks, Device::Cpu).expect("device");
        assert_eq!(host, device);
        let (top, left) = (looks[1].top, looks[1].left);
        let by_hand = source.pixels.get(0).narrow(1, top, 112).narrow(2, left, 112);
        let by_hand = if looks[1].flip { by_hand.flip([2]) } else { by_hand };
        assert_eq!(host.get(1).permute([2, 0, 1]), by_hand);
    }

    /// A pack of three grainy pictures.
    fn pack(folder: &Path) -> Arc<Pack> {
        let mut samples = Vec::new();
        for (i, emotion) in Emotion::ALL.into_iter().take(3).enumerate() {
            let grain =
                |x: u32, y: u32| Rgb([x * 3, y * 5, (x + y) * (i as u32 + 2)].map(|v| v as u8));
            let image = RgbImage::from_fn(200, 150, grain);
            let bytes = picture::encode_png(&image).expect("encodes");
            std::fs::write(folder.join(format!("{i}.png")), &bytes).expect("writes");
            samples.push(Sample {
                sample_id: i.to_string(),
                split: Split::Train,
                emotion,
                clip_id: i.to_string(),
                group_id: i.to_string(),
                segment: None,
                frame_index: None,
                frame_ms: None,
                image_path: format!("{i}.png"),
                image_sha256: output::sha256_hex(&bytes),
                width: 200,
                height: 150,
                face: Some(FaceBox { x1: 20, y1: 30, x2: 90, y2: 100, score: 1.0 }),
                face_count: Some(1),
                detector: "test".into(),
            });
        }
        pack::write(&samples, folder, "digest", &Preprocessing::default(), folder).expect("packs");
        Arc::new(Pack::open(&pack::path_of(folder, Split::Train)).expect("opens"))
    }

    #[test]
    fn a_pack_that_streams_gives_the_bytes_of_one_that_does_not() {
        let dir = tempfile::tempdir().expect("temp dir");
        let pack = pack(dir.path());
        let slots = [slot(Input::Face, 96), slot(Input::Context, 112)];
        let augment = Augment { flip: Flip::Each, brightness: 0.3, ..Augment::default() };
        let pictures = |streams| {
            let all = Pictures::of(pack.clone(), &ModelConfig::default(), &slots, Device::Cpu);
            Pictures { streams, ..all.expect("pictures") }
        };
        let (resident, streaming) = (pictures(false), pictures(true));
        let order = [[2usize, 0], [1, 2], [0, 1]];
        for (i, rows) in order.iter().enumerate() {
            let occasion = format!("joint {i}");
            // The first batch comes unannounced, and of the last another one is announced.
            if i > 0 {
                streaming.prepare(&order[i.min(1)], &augment, 7, &occasion);
            }
            let expected = resident.augmented(rows, &augment, 7, &occasion).expect("cuts");
            let found = streaming.augmented(rows, &augment, 7, &occasion).expect("cuts");
            for (input, picture) in &expected.pictures {
                assert_eq!(picture, &found.pictures[input], "batch {i}");
            }
            assert_eq!(expected.labels, found.labels);
        }
    }

    #[test]
    fn central_windows_are_the_released_ones() {
        let source = source(Input::Context, 112, 128, 171);
        let look = Look::central(source.slot);
        let cut = source.cut_on_host(&[1], &[look]).expect("cuts");
        let expected = source.pixels.get(1).narrow(1, 8, 112).narrow(2, 29, 112);
        assert_eq!(cut.get(0).permute([2, 0, 1]), expected);
    }

    #[test]
    fn every_place_of_the_context_is_reached_and_none_outside() {
        let slot = slot(Input::Context, 112);
        let looks: Vec<Look> =
            (0..4000).map(|i| Look::drawn(slot, &Augment::default(), 1, &i.to_string())).collect();
        let of = |get: fn(&Look) -> i64| {
            looks.iter().map(get).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(of(|l| l.top), (0..=16).collect());
        assert_eq!(of(|l| l.left), (0..=59).collect());
        let near = Augment { context_shift: 8, ..Augment::default() };
        assert!((0..500)
            .map(|i| Look::drawn(slot, &near, 1, &i.to_string()))
            .all(|l| (0..=16).contains(&l.top) && (21..=37).contains(&l.left)));
    }

    #[test]
    fn moved_faces_repeat_their_edge() {
        let source = source(Input::Face, 96, 96, 96);
        let look = Look { top: -3, left: 2, ..Look::central(source.slot) };
        let cut = source.cut_on_host(&[0], &[look]).expect("cuts").permute([0, 3, 1, 2]);
        let picture = source.pixels.get(0);
        for (y, x, from_y, from_x) in [(0, 0, 0, 2), (2, 5, 0, 7), (10, 95, 7, 95)] {
            for channel in 0..3 {
                assert_eq!(
                    cut.int64_value(&[0, channel, y, x]),
                    picture.int64_value(&[channel, from_y, from_x])
                );
            }
        }
    }

    #[test]
    fn flips_mirror_what_they_name() {
        let flips = |flip, input, side| -> Vec<bool> {
            let augment = Augment { flip, ..Augment::default() };
            let look = |i: i32| Look::drawn(slot(input, side), &augment, 3, &i.to_string());
            (0..200).map(|i| look(i).flip).collect()
        };
        let (face, context) = ((Input::Face, 96), (Input::Context, 112));
        let of = |flip, (input, side)| flips(flip, input, side);
        let (never, coin) = (vec![false; 200], of(Flip::Both, face));
        let heads = coin.iter().filter(|&&heads| heads).count();
        assert!((70..130).contains(&heads), "{heads} of 200");
        assert_eq!((of(Flip::None, face), of(Flip::None, context)), (never.clone(), never.clone()));
        assert_eq!((of(Flip::Face, face), of(Flip::Face, context)), (coin.clone(), never.clone()));
        assert_eq!((of(Flip::Context, face), of(Flip::Context, context)), (never, coin.clone()));
        assert_eq!(of(Flip::Both, context), coin);
        assert_eq!(of(Flip::Each, face), coin);
        assert_ne!(of(Flip::Each, context), coin);
    }

    #[test]
    fn options_do_not_change_each_others_draws() {
        let drawn = |augment: &Augment| {
            Look::drawn(slot(Input::Face, 96), augment, 9, "joint 3/train/Sad/0001/000")
        };
        let plain = drawn(&Augment::default());
        let more = drawn(&Augment { brightness: 0.3, rotation: 10.0, ..Augment::default() });
        assert_eq!((plain.flip, plain.top, plain.left), (more.flip, more.top, more.left));
        assert!(!plain.recolours() && more.recolours());
        assert!((0.7..=1.3).contains(&more.brightness));
    }
}
