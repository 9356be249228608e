//! Batches: u8 pictures of a pack become normalised f32 tensors in channels-last layout, with the
//! augmentation drawn per sample from the seed.
//!
//! On the CPU the pack stays memory-mapped and only windows are copied, the pages of the next batch
//! asked for ahead. On CUDA it lies on the device when it fits and is gathered there; else it
//! streams: a thread cuts the next batch while the device works on this one. All give the same bits.
use std::{cell::RefCell, collections::BTreeMap, sync::Arc, thread::JoinHandle};

use anyhow::{anyhow, ensure, Result};
use tch::{Device, Kind, Tensor};

use super::{config::Augment, native};
use crate::{
    model::{self, Input, Inputs, ModelConfig, Slot},
    pack::{Pack, PackInput},
    record::NUM_CLASSES,
};

mod augment;
mod source;

pub(super) use augment::{AugmentParams, Crop, CENTRE, WINDOW};
use source::{Geometry, InputSource, Scale};

/// One split of a pack, as one network wants to see it.
#[derive(Debug)]
pub(crate) struct Pictures {
    sources: Vec<InputSource>,
    /// i64 `[N]` on the device.
    targets: Tensor,
    labels: Vec<u8>,
    ids: Vec<String>,
    device: Device,
    scale: Scale,
    /// Whether the pictures lie on the device and are gathered there.
    gathers: bool,
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
    /// The windows of every source, where the device can read them.
    cuts: JoinHandle<Result<Vec<Tensor>>>,
}

/// A batch on the device.
#[derive(Debug)]
pub(crate) struct Batch {
    pictures: BTreeMap<Input, Tensor>,
    /// i64 `[N]`.
    pub labels: Tensor,
}

impl Batch {
    /// Samples.
    pub fn len(&self) -> i64 {
        self.labels.size()[0]
    }

    /// Whether another batch has the same pictures in the same sizes.
    pub fn is_like(&self, other: &Batch) -> bool {
        let sizes = |batch: &Batch| -> Vec<(Input, Vec<i64>)> {
            batch.pictures.iter().map(|(input, picture)| (*input, picture.size())).collect()
        };
        sizes(self) == sizes(other) && self.len() == other.len()
    }

    /// The same values in memory of its own, laid out as these are.
    pub fn copied(&self) -> Result<Batch> {
        let copy = |tensor: &Tensor| tch::no_grad(|| tensor.f_zeros_like()?.f_add_(tensor));
        let pictures = self.pictures.iter().map(|(input, picture)| Ok((*input, copy(picture)?)));
        Ok(Batch { pictures: pictures.collect::<Result<_>>()?, labels: copy(&self.labels)? })
    }

    /// The same samples mirrored left to right.
    pub fn mirrored(&self) -> Result<Batch> {
        let mirror = |picture: &Tensor| -> Result<Tensor> {
            // Channels last again, as it came.
            let turned = picture.f_flip([3])?.f_permute([0, 2, 3, 1])?.f_contiguous()?;
            Ok(turned.f_permute([0, 3, 1, 2])?)
        };
        let pictures = self.pictures.iter().map(|(input, picture)| Ok((*input, mirror(picture)?)));
        let labels = self.labels.shallow_clone();
        Ok(Batch { pictures: pictures.collect::<Result<_>>()?, labels })
    }

    /// Takes over the values of a batch that is like this one; its own memory stays.
    pub fn copy_from(&mut self, other: &Batch) -> Result<()> {
        for (input, picture) in &mut self.pictures {
            picture.f_copy_(&other.pictures[input])?;
        }
        self.labels.f_copy_(&other.labels)?;
        Ok(())
    }

    /// The batch as a network takes it.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            face: self.pictures.get(&Input::Face),
            context: self.pictures.get(&Input::Context),
            image: self.pictures.get(&Input::Image),
        }
    }
}

impl Pictures {
    /// The pictures of an opened pack, as a network wants them; with `streams` they are never
    /// held on the device and a thread cuts every batch.
    ///
    /// # Errors
    /// When the pack is empty or lacks a tensor that the network needs, or the device lacks memory.
    pub fn of(
        pack: Arc<Pack>,
        config: &ModelConfig,
        slots: &[Slot],
        device: Device,
        streams: bool,
    ) -> Result<Self> {
        ensure!(!pack.is_empty(), "the pack holds no samples of this split");
        // All or none: half of what is free stays for the network and its activations.
        let bytes = |slot: &Slot| pack.view(pack_input(*slot, config)).map_or(0, <[u8]>::len);
        let wanted = slots.iter().map(bytes).sum::<usize>();
        let fits = crate::device::free_memory(device).is_none_or(|free| wanted <= free / 2);
        let home = if streams || !fits { Device::Cpu } else { device };
        let source = |&slot| InputSource::new(&pack, pack_input(slot, config), slot, home);
        let sources: Vec<InputSource> = slots.iter().map(source).collect::<Result<_>>()?;
        let (labels, ids) = (pack.labels().to_vec(), pack.sample_ids().to_vec());
        let pictures = Self::new(sources, labels, ids, config, device, Some(pack))?;
        Ok(Pictures { streams: streams || pictures.streams, ..pictures })
    }

    /// `n` pictures of noise, to measure speed with.
    pub fn of_noise(
        n: usize,
        config: &ModelConfig,
        slots: &[Slot],
        device: Device,
    ) -> Result<Self> {
        let source = |&slot| -> Result<InputSource> {
            let geometry = Geometry::of(slot, pack_input(slot, config));
            let shape = [n as i64, 3, geometry.height, geometry.width];
            let pixels = Tensor::f_randint(256, shape, (Kind::Uint8, device))?;
            Ok(InputSource { slot, pixels, geometry })
        };
        let sources = slots.iter().map(source).collect::<Result<_>>()?;
        let labels = (0..n).map(|i| (i % NUM_CLASSES) as u8).collect();
        let ids = (0..n).map(|i| i.to_string()).collect();
        Self::new(sources, labels, ids, config, device, None)
    }

    fn new(
        sources: Vec<InputSource>,
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
        let gathers = !streams && device != Device::Cpu;
        let ahead = RefCell::new(None);
        Ok(Pictures { sources, targets, labels, ids, device, scale, gathers, streams, ahead, pack })
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
        let looks = self.looks(rows, |slot, _| AugmentParams::central(slot));
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
        let cuts = ahead.map(|ahead| match ahead.cuts.join() {
            Ok(cuts) => cuts,
            Err(_) => Err(anyhow!("the thread that cuts batches died")),
        });
        let cuts = cuts.transpose()?;
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
        let (wanted, device) = (rows.clone(), self.device);
        let cuts = std::thread::spawn(move || {
            let cut = |(geometry, looks): (&Geometry, &Vec<AugmentParams>)| {
                let pixels = pack.view(geometry.input).expect("every source is in the pack");
                pinned(&geometry.cut(pixels, &wanted, looks)?, device)
            };
            inputs.iter().zip(&looks).map(cut).collect()
        });
        *self.ahead.borrow_mut() = Some(Ahead { rows, occasion, cuts });
    }

    /// How every row looks to every source.
    fn looks(
        &self,
        rows: &[usize],
        look: impl Fn(Slot, usize) -> AugmentParams,
    ) -> Vec<Vec<AugmentParams>> {
        let of = |source: &InputSource| rows.iter().map(|&row| look(source.slot, row)).collect();
        self.sources.iter().map(of).collect()
    }

    fn drawn(
        &self,
        rows: &[usize],
        augment: &Augment,
        seed: u64,
        occasion: &str,
    ) -> Vec<Vec<AugmentParams>> {
        self.looks(rows, |slot, row| {
            AugmentParams::drawn(slot, augment, seed, &format!("{occasion}/{}", self.ids[row]))
        })
    }

    /// `cuts` are the windows of every source where a thread has cut them.
    fn batch(
        &self,
        rows: &[usize],
        looks: &[Vec<AugmentParams>],
        cuts: Option<Vec<Tensor>>,
    ) -> Result<Batch> {
        let n = rows.len() as i64;
        let numbers = to_device(&Tensor::f_from_slice(&self.numbers(rows, looks))?, self.device)?;
        let mut begun = 0;
        let mut next = |length: i64| {
            begun += length;
            numbers.f_narrow(0, begun - length, length)
        };
        let (channels, index) = (next(3)?, next(n)?);
        let mut cuts = cuts.map(Vec::into_iter);
        let mut pictures = BTreeMap::new();
        for (source, looks) in self.sources.iter().zip(looks) {
            let (height, width) = source.geometry.window;
            let cut = match cuts.as_mut().and_then(Iterator::next) {
                Some(cut) => cut,
                None if self.gathers => {
                    let (lines, columns) = (next(n * height)?, next(n * width)?);
                    source.cut_on_device(&channels, &index, &lines, &columns)?
                }
                None => source.cut_on_host(rows, looks)?,
            };
            let picture = self.scale.apply(&to_device(&cut, self.device)?, looks, source.slot)?;
            pictures.insert(source.slot.input, source.enlarged(picture)?);
        }
        Ok(Batch { pictures, labels: self.targets.f_index_select(0, &index)? })
    }

    /// What the device gathers by, for one copy to it: the channels, the rows and, where it cuts,
    /// the lines and columns of every source's windows.
    fn numbers(&self, rows: &[usize], looks: &[Vec<AugmentParams>]) -> Vec<i64> {
        let mut numbers: Vec<i64> = (0..3).chain(rows.iter().map(|&row| row as i64)).collect();
        if self.gathers {
            let places = |(source, looks): (&InputSource, &Vec<_>)| source.geometry.places(looks);
            numbers.extend(self.sources.iter().zip(looks).flat_map(places).flatten());
        }
        numbers
    }
}

/// A tensor on the CPU, in memory that the device can read by itself.
fn pinned(tensor: &Tensor, device: Device) -> Result<Tensor> {
    match device {
        Device::Cuda(_) => native::pinned(tensor),
        _ => Ok(tensor.shallow_clone()),
    }
}

/// The tensor on the device. What goes to CUDA does so behind the work in hand: nobody waits.
pub(super) fn to_device(tensor: &Tensor, device: Device) -> Result<Tensor> {
    if tensor.device() == device {
        return Ok(tensor.shallow_clone());
    }
    let pinned = pinned(tensor, device)?;
    Ok(pinned.f_to_device_(device, pinned.kind(), true, false)?)
}

/// The packed tensor that a network's input is cut from.
pub(crate) fn pack_input(slot: Slot, config: &ModelConfig) -> PackInput {
    match (slot.input, config.context) {
        (Input::Face, _) => PackInput::Face,
        (Input::Image, _) => super::inputs::picture(config.picture),
        (Input::Context, model::Context::Masked) => PackInput::ContextMasked,
        (Input::Context, model::Context::Visible) => PackInput::ContextVisible,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use image::{Rgb, RgbImage};

    use super::*;
    use crate::{
        digest, folder,
        media::image as picture,
        pack::{self, Preprocessing},
        record::{Emotion, FaceBox, Sample, Split},
        train::{calls, Flip},
    };

    fn slot(input: Input, side: i64) -> Slot {
        Slot { input, height: side, width: side }
    }

    /// A pack of three grainy pictures.
    fn pack(root: &Path) -> Arc<Pack> {
        let mut samples = Vec::new();
        for (i, emotion) in Emotion::ALL.into_iter().take(3).enumerate() {
            let grain =
                |x: u32, y: u32| Rgb([x * 3, y * 5, (x + y) * (i as u32 + 2)].map(|v| v as u8));
            let image = RgbImage::from_fn(200, 150, grain);
            let bytes = picture::encode_png(&image).expect("encodes");
            std::fs::write(root.join(format!("{i}.png")), &bytes).expect("writes");
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
                image_sha256: digest::sha256_hex(&bytes),
                width: 200,
                height: 150,
                face: Some(FaceBox { x1: 20, y1: 30, x2: 90, y2: 100, score: 1.0 }),
                face_count: Some(1),
                detector: "test".into(),
                damage: Default::default(),
                draw: None,
            });
        }
        let out = folder::claim_standing(&root.join("pack"), "pack").expect("claimed");
        pack::write(&samples, root, "digest", &Preprocessing::default(), &out).expect("packs");
        Arc::new(Pack::open(&pack::path_of(out.path(), Split::Train)).expect("opens"))
    }

    #[test]
    fn pictures_give_the_same_bytes_mapped_streamed_and_gathered() {
        let dir = tempfile::tempdir().expect("temp dir");
        let pack = pack(dir.path());
        let slots = [slot(Input::Face, 96), slot(Input::Context, 112)];
        let augment =
            Augment { flip: Flip::Each, brightness: 0.3, crop_scale: 0.3, ..Augment::default() };
        let pictures = |streams| {
            Pictures::of(pack.clone(), &ModelConfig::default(), &slots, Device::Cpu, streams)
                .expect("pictures")
        };
        let (resident, streaming) = (pictures(false), pictures(true));
        let gathered = Pictures { gathers: true, ..pictures(false) };
        let order = [[2usize, 0], [1, 2], [0, 1]];
        for (i, rows) in order.iter().enumerate() {
            let occasion = format!("joint {i}");
            // The first batch comes unannounced, and of the last another one is announced.
            if i > 0 {
                streaming.prepare(&order[i.min(1)], &augment, 7, &occasion);
            }
            let expected = resident.augmented(rows, &augment, 7, &occasion).expect("cuts");
            for other in [&streaming, &gathered] {
                let found = other.augmented(rows, &augment, 7, &occasion).expect("cuts");
                for (input, picture) in &expected.pictures {
                    assert_eq!(picture, &found.pictures[input], "batch {i}");
                }
                assert_eq!(expected.labels, found.labels);
            }
        }
    }

    #[test]
    fn a_batch_that_is_gathered_launches_no_more_than_it_may() {
        let model = ModelConfig::default();
        let slots = [slot(Input::Face, 96), slot(Input::Context, 112)];
        let pictures = Pictures::of_noise(8, &model, &slots, Device::Cpu).expect("noise");
        let pictures = Pictures { gathers: true, ..pictures };
        let augment = Augment::default();
        let batch = || pictures.augmented(&[1, 5, 2], &augment, 7, "count");
        batch().expect("cuts");
        let (_, calls) = calls::counted(batch).expect("counts");
        assert_eq!(calls.unknown(), Vec::<&str>::new(), "to be sorted in calls.rs");
        // A gather, a conversion and three sums and products per source, and the labels; and the
        // list from the host, which is filled with zeros there before it is written.
        assert!(calls.launching() <= 11 + 1, "{calls:?}");
    }
}
