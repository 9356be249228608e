//! Samples to fixed-size u8 tensors for training: `{train,val,test}.safetensors`, memory-mapped.
//!
//! u8 NCHW: face `[N,3,96,96]`, context_masked and context_visible `[N,3,128,171]`, image
//! `[N,3,224,224]`, face_224 `[N,3,224,224]`, label `[N]`. A sample without a face gets an all-zero face and an unmasked
//! context, as in the paper's released code. Identity, ids and every preprocessing choice stand
//! in the file's metadata; scaling and normalisation belong to the model.
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::Write,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context, Result};
use image::RgbImage;
use memmap2::{Mmap, MmapMut};
use rayon::prelude::*;
use safetensors::{
    tensor::{Metadata, TensorInfo},
    Dtype, SafeTensors,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    atomic, digest,
    folder::{self, Claim, OutputFolder},
    manifest,
    media::image as picture,
    progress::Progress,
    record::{named, FaceBox, Sample, Split},
};

/// Version of the pack's layout; part of its identity.
const LAYOUT: &str = "1";

/// A tensor that a pack can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackInput {
    /// The face crop, 96 x 96.
    Face,
    /// The frame with the face rectangle masked, 128 high and 171 wide.
    ContextMasked,
    /// The frame as it is, 128 high and 171 wide.
    ContextVisible,
    /// The frame as it is, 224 x 224.
    Image,
    /// The face crop, 224 x 224, for networks that were made for this size.
    #[serde(rename = "face_224")]
    Face224,
}

impl PackInput {
    /// All inputs in file order.
    pub const ALL: [PackInput; 5] = [
        PackInput::Face,
        PackInput::ContextMasked,
        PackInput::ContextVisible,
        PackInput::Image,
        PackInput::Face224,
    ];

    /// Height and width in pixels.
    pub fn size(self) -> (usize, usize) {
        match self {
            PackInput::Face => (96, 96),
            PackInput::ContextMasked | PackInput::ContextVisible => (128, 171),
            PackInput::Image | PackInput::Face224 => (224, 224),
        }
    }

    /// Bytes of one sample, `3 * height * width`.
    pub fn stride(self) -> usize {
        let (height, width) = self.size();
        3 * height * width
    }
}

named!(
    PackInput,
    "input",
    Face = "face",
    ContextMasked = "context_masked",
    ContextVisible = "context_visible",
    Image = "image",
    Face224 = "face_224",
);

/// What is done to the pictures; part of the pack's identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// The tensors to write, in file order.
    pub inputs: Vec<PackInput>,
    /// The value of masked pixels: 0 in the paper, 127 in some other codes.
    pub mask_value: u8,
    /// JPEG quality of a round trip after masking, as in the released code (95); `None` for none.
    pub jpeg_round_trip: Option<u8>,
    /// The face box is widened by this share of its size on every side before crop and mask.
    pub margin: f64,
}

impl Default for Preprocessing {
    fn default() -> Self {
        Preprocessing {
            inputs: vec![PackInput::Face, PackInput::ContextMasked],
            mask_value: 0,
            jpeg_round_trip: None,
            margin: 0.0,
        }
    }
}

/// A pack that is in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Samples by split.
    pub samples: BTreeMap<Split, usize>,
    /// Those of them without a face.
    pub without_face: usize,
    /// Whether the same pack was there before.
    pub already_done: bool,
}

/// Packs the manifest folder `from` into `out`, unless the same pack is there.
///
/// # Errors
/// When the manifest or a picture of it cannot be read, or `out` holds something else or cannot be
/// written.
pub fn pack(from: &Path, choices: &Preprocessing, out: &Path) -> Result<Packed> {
    let (samples, _) = manifest::read_samples(&from.join("samples.parquet"))?;
    let digest = manifest::digest(from)?;
    let mut choices = choices.clone();
    choices.inputs.sort();
    choices.inputs.dedup();
    let without_face = samples.iter().filter(|s| s.face.is_none()).count();
    let configuration = json!({"manifest_digest": digest, "preprocessing": choices});
    let out = match folder::claim(out, &configuration)? {
        Claim::Done => {
            let of = |split| (split, samples.iter().filter(|s| s.split == split).count());
            let samples = Split::ALL.into_iter().map(of).collect();
            return Ok(Packed { samples, without_face, already_done: true });
        }
        Claim::Fresh(out) | Claim::Resume(out) => out,
    };
    let counts = write(&samples, from, &digest, &choices, &out)?;
    out.finish()?;
    Ok(Packed { samples: counts, without_face, already_done: false })
}

/// Writes one pack file per split into `folder` and returns the number of samples in each.
///
/// # Errors
/// When a picture is missing, unreadable or not the one that the manifest describes, or when the
/// folder cannot be written; no half-written file stays.
pub(crate) fn write(
    samples: &[Sample],
    manifest_folder: &Path,
    manifest_digest: &str,
    choices: &Preprocessing,
    folder: &OutputFolder,
) -> Result<BTreeMap<Split, usize>> {
    let progress = Progress::new("pack", "samples", samples.len() as u64);
    let mut counts = BTreeMap::new();
    for split in Split::ALL {
        let rows: Vec<&Sample> = samples.iter().filter(|s| s.split == split).collect();
        let metadata = metadata(&rows, manifest_digest, choices)?;
        let path = folder.target(file_name(split))?;
        write_split(&path, &rows, manifest_folder, choices, metadata, &progress)?;
        counts.insert(split, rows.len());
    }
    progress.finish();
    Ok(counts)
}

/// `FOLDER/SPLIT.safetensors`
pub fn path_of(folder: &Path, split: Split) -> PathBuf {
    folder.join(file_name(split))
}

fn file_name(split: Split) -> String {
    format!("{split}.safetensors")
}

fn metadata(
    rows: &[&Sample],
    manifest_digest: &str,
    choices: &Preprocessing,
) -> Result<HashMap<String, String>> {
    let ids = |get: fn(&Sample) -> &str| {
        serde_json::to_string(&rows.iter().map(|s| get(s)).collect::<Vec<_>>())
    };
    Ok(HashMap::from([
        ("layout".to_owned(), LAYOUT.to_owned()),
        ("manifest_digest".to_owned(), manifest_digest.to_owned()),
        ("preprocessing".to_owned(), serde_json::to_string(choices)?),
        ("sample_ids".to_owned(), ids(|s| &s.sample_id)?),
        ("clip_ids".to_owned(), ids(|s| &s.clip_id)?),
        ("group_ids".to_owned(), ids(|s| &s.group_id)?),
    ]))
}

/// The header of a safetensors file (length, JSON, padding to eight bytes) and the length of the
/// data behind it. Written here because the library writes metadata in random order.
fn header(
    n: usize,
    inputs: &[PackInput],
    metadata: HashMap<String, String>,
) -> Result<(Vec<u8>, usize)> {
    let mut end = 0;
    let mut tensors = Vec::new();
    let mut push = |name: &str, shape: Vec<usize>| {
        let start = end;
        end += shape.iter().product::<usize>();
        let info = TensorInfo { dtype: Dtype::U8, shape, data_offsets: (start, end) };
        tensors.push((name.to_owned(), info));
    };
    for input in inputs {
        let (height, width) = input.size();
        push(input.name(), vec![n, 3, height, width]);
    }
    push("label", vec![n]);
    let ordered: BTreeMap<_, _> = metadata.iter().collect();
    let mut json = serde_json::Map::new();
    json.insert("__metadata__".into(), serde_json::to_value(ordered)?);
    for (name, info) in &tensors {
        json.insert(name.clone(), serde_json::to_value(info)?);
    }
    // Checks offsets and shapes by the format's own rules before anything is written.
    Metadata::new(Some(metadata), tensors)?;
    let mut text = serde_json::to_string(&json)?.into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok((bytes, end))
}

fn write_split(
    path: &Path,
    rows: &[&Sample],
    manifest_folder: &Path,
    choices: &Preprocessing,
    metadata: HashMap<String, String>,
    progress: &Progress,
) -> Result<()> {
    let (header, length) = header(rows.len(), &choices.inputs, metadata)?;
    atomic::write_with(path, |out| {
        out.write_all(&header)?;
        out.flush()?;
        let file: &mut File = out.get_mut();
        file.set_len((header.len() + length) as u64)?;
        if length == 0 {
            return Ok(());
        }
        // SAFETY: the file is our own temporary one; nobody else knows its name.
        let mut map = unsafe { MmapMut::map_mut(&*file)? };
        fill(&mut map[header.len()..], rows, manifest_folder, choices, progress)?;
        Ok(map.flush()?)
    })
}

/// Fills the data part of a pack file, one row of every tensor per sample, in parallel.
fn fill(
    data: &mut [u8],
    rows: &[&Sample],
    manifest_folder: &Path,
    choices: &Preprocessing,
    progress: &Progress,
) -> Result<()> {
    let mut rest = data;
    let mut tensors = Vec::new();
    for input in &choices.inputs {
        let (tensor, after) = rest.split_at_mut(rows.len() * input.stride());
        tensors.push(tensor.chunks_exact_mut(input.stride()));
        rest = after;
    }
    for (label, sample) in rest.iter_mut().zip(rows) {
        *label = sample.emotion.label();
    }
    let slots: Vec<(&Sample, Vec<&mut [u8]>)> = rows
        .iter()
        .map(|sample| (*sample, tensors.iter_mut().filter_map(Iterator::next).collect()))
        .collect();
    slots.into_par_iter().try_for_each(|(sample, mut slot)| {
        pack_sample(sample, manifest_folder, choices, &mut slot)?;
        progress.advance(1);
        Ok(())
    })
}

fn pack_sample(
    sample: &Sample,
    manifest_folder: &Path,
    choices: &Preprocessing,
    slot: &mut [&mut [u8]],
) -> Result<()> {
    let path = folder::below(manifest_folder, &sample.image_path)?;
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        digest::sha256_hex(&bytes) == sample.image_sha256,
        "{} is not the picture that the manifest describes; run `ncaers verify`",
        path.display()
    );
    let frame = picture::decode_known(&bytes)
        .with_context(|| format!("cannot decode {}", path.display()))?;
    ensure!(
        (frame.width(), frame.height()) == (sample.width, sample.height),
        "{} is {}x{}, the manifest says {}x{}",
        path.display(),
        frame.width(),
        frame.height(),
        sample.width,
        sample.height
    );
    let face = sample
        .face
        .and_then(|face| picture::widen(face, choices.margin, frame.width(), frame.height()));
    for (input, out) in choices.inputs.iter().zip(slot) {
        fill_input(*input, &frame, face, choices, out)?;
    }
    Ok(())
}

/// Writes one input of one sample, `[3, H, W]`.
fn fill_input(
    input: PackInput,
    frame: &RgbImage,
    face: Option<FaceBox>,
    choices: &Preprocessing,
    out: &mut [u8],
) -> Result<()> {
    let (height, width) = input.size();
    let whole = picture::whole(frame.width(), frame.height());
    match (input, face) {
        (PackInput::Face | PackInput::Face224, None) => out.fill(0),
        (PackInput::Face | PackInput::Face224, Some(face)) => {
            picture::resize_chw(frame, face, width, height, out)
        }
        (PackInput::ContextMasked, Some(face)) => {
            let mut masked = frame.clone();
            picture::mask(&mut masked, face, choices.mask_value);
            if let Some(quality) = choices.jpeg_round_trip {
                masked = picture::decode_known(&picture::encode_jpeg(&masked, quality)?)?;
            }
            picture::resize_chw(&masked, whole, width, height, out);
        }
        _ => picture::resize_chw(frame, whole, width, height, out),
    }
    Ok(())
}

/// An opened pack file of one split.
#[derive(Debug)]
pub struct Pack {
    map: Mmap,
    tensors: BTreeMap<PackInput, Range<usize>>,
    labels: Range<usize>,
    sample_ids: Vec<String>,
    clip_ids: Vec<String>,
    group_ids: Vec<String>,
    manifest_digest: String,
    preprocessing: Preprocessing,
}

impl Pack {
    /// Maps a pack file and checks it whole: layout, shapes, labels, counts of ids.
    ///
    /// # Errors
    /// When the file is missing, damaged, truncated or not a pack.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| {
            format!("cannot open pack {}; make it with `ncaers pack`", path.display())
        })?;
        // SAFETY: packs are written beside and renamed, never changed in place.
        let map = unsafe { Mmap::map(&file) }
            .with_context(|| format!("cannot map {}", path.display()))?;
        Self::parse(map).with_context(|| format!("{} is not a readable pack", path.display()))
    }

    fn parse(map: Mmap) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(&map)?;
        let views = SafeTensors::deserialize(&map)?;
        let meta = header.metadata().clone().unwrap_or_default();
        let word = |key: &str| meta.get(key).with_context(|| format!("no `{key}` in its metadata"));
        ensure!(word("layout")? == LAYOUT, "layout {} is not {LAYOUT}", word("layout")?);
        let ids = |key| -> Result<Vec<String>> { Ok(serde_json::from_str(word(key)?)?) };
        let sample_ids = ids("sample_ids")?;
        let n = sample_ids.len();
        let place = |name: &str, shape: &[usize]| -> Result<Range<usize>> {
            let view = views.tensor(name)?;
            ensure!(
                view.dtype() == Dtype::U8 && view.shape() == shape,
                "tensor `{name}` is {:?} {:?}, not u8 {shape:?}",
                view.dtype(),
                view.shape()
            );
            let start = view.data().as_ptr() as usize - map.as_ptr() as usize;
            Ok(start..start + view.data().len())
        };
        let preprocessing: Preprocessing = serde_json::from_str(word("preprocessing")?)?;
        let mut tensors = BTreeMap::new();
        for &input in &preprocessing.inputs {
            let (height, width) = input.size();
            tensors.insert(input, place(input.name(), &[n, 3, height, width])?);
        }
        let labels = place("label", &[n])?;
        if let Some(bad) = map[labels.clone()].iter().find(|&&label| label > 6) {
            bail!("label {bad} is not 0 to 6");
        }
        let (clip_ids, group_ids) = (ids("clip_ids")?, ids("group_ids")?);
        ensure!(clip_ids.len() == n && group_ids.len() == n, "ids and samples differ in number");
        let manifest_digest = word("manifest_digest")?.clone();
        Ok(Pack {
            map,
            tensors,
            labels,
            sample_ids,
            clip_ids,
            group_ids,
            manifest_digest,
            preprocessing,
        })
    }

    /// Number of samples, N.
    pub fn len(&self) -> usize {
        self.sample_ids.len()
    }

    /// Whether the split has no samples.
    pub fn is_empty(&self) -> bool {
        self.sample_ids.is_empty()
    }

    /// The bytes of an input, u8 `[N,3,H,W]`; `None` when it was not packed.
    pub fn view(&self, input: PackInput) -> Option<&[u8]> {
        self.tensors.get(&input).map(|range| &self.map[range.clone()])
    }

    /// Asks the system to read the pictures of `rows` ahead, without waiting for it.
    pub fn expect(&self, input: PackInput, rows: &[usize]) {
        let Some(range) = self.tensors.get(&input) else { return };
        for row in rows {
            // Advice only: a system that does not take it reads later.
            let start = range.start + row * input.stride();
            let _ = self.map.advise_range(memmap2::Advice::WillNeed, start, input.stride());
        }
    }

    /// `[N,3,H,W]` of an input.
    pub fn shape(&self, input: PackInput) -> [usize; 4] {
        let (height, width) = input.size();
        [self.len(), 3, height, width]
    }

    /// Labels 0..=6, `[N]`.
    pub fn labels(&self) -> &[u8] {
        &self.map[self.labels.clone()]
    }

    /// sample_id of every row.
    pub fn sample_ids(&self) -> &[String] {
        &self.sample_ids
    }

    /// clip_id of every row.
    pub fn clip_ids(&self) -> &[String] {
        &self.clip_ids
    }

    /// group_id of every row.
    pub fn group_ids(&self) -> &[String] {
        &self.group_ids
    }

    /// Digest of the manifest that it was made from.
    pub fn manifest_digest(&self) -> &str {
        &self.manifest_digest
    }

    /// How the pictures were prepared.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Identity of the pack, the same for its three splits: the digest of layout, manifest digest
    /// and preprocessing, which together determine every byte.
    pub fn digest(&self) -> String {
        identity(&self.manifest_digest, &self.preprocessing)
    }
}

/// Says which inputs a pack lacks, and the command that makes them beside those that it has.
pub fn lacks(pack: &Pack, missing: &[&str]) -> String {
    let has = pack.preprocessing.inputs.iter().map(|input| input.name());
    let all: Vec<&str> = has.chain(missing.iter().copied()).collect();
    format!(
        "the pack has no `{}`; run `ncaers pack` with --inputs {}",
        missing.join("`, `"),
        all.join(",")
    )
}

/// See [`Pack::digest`].
fn identity(manifest_digest: &str, choices: &Preprocessing) -> String {
    let text = serde_json::json!([LAYOUT, manifest_digest, choices]).to_string();
    digest::sha256_hex(text.as_bytes())
}
