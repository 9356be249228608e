//! Everything below a path annotated into a folder: copies of pictures and videos, and the list of
//! faces.
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{bail, ensure, Context, Result};

use super::{AnnotateSettings, Annotator, FaceRow, Sink};
use crate::{
    corpus::{demo, EXTENSIONS},
    device::ComputeDevice,
    escape::csv_cell,
    experiment::Experiment,
    face,
    folder::{self, OutputFolder},
    media::{
        encode::Codec,
        image::{encode_jpeg, encode_png, load_rgb},
        redraw,
    },
    pack::{self, Pack, Preprocessing},
    progress,
    record::Split,
    runs::RunFolder,
    train::{self, FaceReader},
};

/// The list of faces in the output folder.
const FACES: &str = "faces.csv";

/// What pictures, rows and messages say when a network knows drawn faces only.
pub const DEMONSTRATION: &str =
    "demonstration network, trained on drawn faces: what it says here means nothing";

/// What is annotated, by which run, and how.
#[derive(Clone, Debug)]
pub struct AnnotateRequest {
    /// A picture, a video, or a folder, which is taken with all below it.
    pub input: PathBuf,
    /// The run folder whose selected checkpoint predicts.
    pub run: PathBuf,
    /// The folder to fill; neither the originals' nor below it.
    pub out: PathBuf,
    /// Faces are looked for in every n-th frame of a video and followed in between; at least 1.
    pub every: u32,
    /// Lays the attention, averaged over the faces, over the picture.
    pub attention: bool,
    /// No pictures and videos, only the list of faces.
    pub only_csv: bool,
    /// `seeta` or `mmod`.
    pub detector: String,
    /// Share by which a face's box grows on every side; that of the run's pack where absent.
    pub margin: Option<f64>,
    /// Where the model and mmod run: `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Annotated {
    /// Where it was computed, in words.
    pub device: String,
    /// The list of faces.
    pub csv: PathBuf,
    /// Pictures annotated.
    pub pictures: u64,
    /// Videos annotated.
    pub videos: u64,
    /// Frames of the videos.
    pub frames: u64,
    /// Rows of the list.
    pub faces: u64,
    /// Pictures and videos without a face.
    pub without_face: u64,
    /// Time that the videos took.
    pub video_seconds: f64,
    /// How the copies of videos are encoded, where any were written.
    pub codec: Option<Codec>,
    /// What was left out, and why.
    pub problems: Vec<String>,
}

/// Finds, judges and draws the faces of all pictures and videos of `input`, into `out`.
///
/// # Errors
/// When the run, the detector or the device is unavailable, nothing could be annotated, or the
/// folder cannot be written or holds what is not ours. A file that cannot be read is left out and
/// named.
pub fn annotate(request: &AnnotateRequest) -> Result<Annotated> {
    let files = files(&request.input)?;
    let folder = RunFolder::new(&request.run);
    let precision = train::precision_of(&folder.record()?)?;
    let machine = ComputeDevice::open(&request.device, precision)?;
    machine.warning().iter().for_each(|warning| progress::message(warning));
    if request.detector != "mmod" {
        // A frame's few faces are too little to share: a second thread spent its time waiting for
        // the first, seven eighths of the whole.
        tch::set_num_threads(1);
    }
    let reader = FaceReader::open(&folder, machine.device())?;
    // mmod runs where the model does; other detectors have no device.
    let device = (request.detector == "mmod").then(|| request.device.clone());
    let detector = face::open(&face::DetectorRequest {
        device,
        ..face::DetectorRequest::named(&request.detector)
    })?
    .context("faces cannot be annotated without a detector; take seeta or mmod")?;
    let settings = settings(request, &folder)?;
    if let Some(notice) = settings.notice {
        progress::message(&format!("note: {notice}"));
    }
    let annotator = Annotator::new(reader, detector, settings);
    refuse_folder_of_originals(request)?;
    let out = folder::claim_standing(&request.out, "annotate")?;
    let written = BTreeSet::from([PathBuf::from(FACES)]);
    let (device, csv) = (machine.to_string(), out.path().join(FACES));
    let done = Annotated { device, csv, ..Annotated::default() };
    let mut work = FileAnnotator { request, out: &out, annotator, done, written };
    out.write_with(FACES, |file| {
        let mut writer = csv::Writer::from_writer(file);
        for (path, name) in &files {
            let mut sink = |row: FaceRow| {
                let file = csv_cell(&row.file).into_owned();
                Ok(writer.serialize(FaceRow { file, ..row })?)
            };
            if let Err(e) = work.file(path, name, &mut sink) {
                work.done.problems.push(format!("{e:#}"));
            }
        }
        Ok(writer.flush()?)
    })?;
    // What an earlier call left.
    out.retain(|name| work.written.contains(name))?;
    let mut done = work.done;
    if done.pictures + done.videos == 0 {
        bail!("nothing was annotated: {}", done.problems.join("; "));
    }
    done.codec = (done.videos > 0 && !request.only_csv).then(redraw::codec);
    Ok(done)
}

/// How the run's pack was made, and what must be said of the run.
///
/// # Errors
/// When the pack is not at hand and no margin is given: faces cut out otherwise than in training
/// are judged otherwise.
fn settings(request: &AnnotateRequest, folder: &RunFolder) -> Result<AnnotateSettings> {
    let experiment = Experiment::of_run(folder.path());
    let pack = |experiment: &Experiment| -> Result<Preprocessing> {
        let pack = Pack::open(&pack::path_of(experiment.pack()?, Split::Train))?;
        Ok(pack.preprocessing().clone())
    };
    let known = match (experiment.as_ref().map_err(ToString::to_string), request.margin) {
        (Ok(experiment), None) => pack(experiment)
            .context("the run's pack is not at hand; say its margin with --margin (0 for none)")?,
        (Ok(experiment), Some(_)) => pack(experiment).unwrap_or_default(),
        (Err(_), Some(_)) => Preprocessing::default(),
        (Err(error), None) => bail!("{error}; say the pack's margin with --margin (0 for none)"),
    };
    // Records of before it was written down leave it to the data set.
    let is_demonstration = folder.record()?.synthetic || experiment.is_ok_and(|e| e.is_synthetic());
    let on_its_own = request.input.ancestors().any(demo::is_root);
    Ok(AnnotateSettings {
        every: request.every,
        attention: request.attention,
        margin: request.margin.unwrap_or(known.margin),
        mask_value: known.mask_value,
        notice: (is_demonstration && !on_its_own).then_some(DEMONSTRATION),
    })
}

/// The files to annotate with their names below the output folder, in name order.
fn files(input: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let metadata =
        fs::metadata(input).with_context(|| format!("cannot read {}", input.display()))?;
    if !metadata.is_dir() {
        let name = input.file_name().context("the input has no file name")?;
        return Ok(vec![(input.to_owned(), PathBuf::from(name))]);
    }
    let mut found = Vec::new();
    walk(input, Path::new(""), &mut found)?;
    found.sort();
    ensure!(!found.is_empty(), "{} holds no picture and no video", input.display());
    Ok(found)
}

fn walk(folder: &Path, below: &Path, found: &mut Vec<(PathBuf, PathBuf)>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), below.join(entry.file_name()));
        // Links to folders are not followed: they may lead round in a circle.
        if entry.file_type()?.is_dir() {
            walk(&path, &name, found)?;
        } else if is_video(&path) || has_ending(&path, &["jpg", "jpeg", "png"]) {
            found.push((path, name));
        }
    }
    Ok(())
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
}

fn is_video(path: &Path) -> bool {
    has_ending(path, EXTENSIONS)
}

/// The copies must neither replace the originals nor be taken for some the next time.
fn refuse_folder_of_originals(request: &AnnotateRequest) -> Result<()> {
    let from = match request.input.is_dir() {
        true => request.input.clone(),
        false => request.input.canonicalize()?.parent().map(Path::to_owned).unwrap_or_default(),
    };
    let from = from.canonicalize()?;
    let out = resolved(&request.out)?;
    ensure!(
        out != from,
        "{} is the folder of the originals; choose another output folder",
        request.out.display()
    );
    ensure!(
        !(request.input.is_dir() && out.starts_with(&from)),
        "{} lies below the folder of the originals; choose another output folder",
        request.out.display()
    );
    Ok(())
}

/// A path that need not exist yet, with its links followed as far as it does.
fn resolved(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for folder in path.ancestors() {
        if let Ok(real) = folder.canonicalize() {
            return Ok(real.join(path.strip_prefix(folder)?));
        }
    }
    Ok(path)
}

/// Annotates one file after the other.
struct FileAnnotator<'a> {
    request: &'a AnnotateRequest,
    out: &'a OutputFolder,
    annotator: Annotator,
    done: Annotated,
    /// Names of what was written.
    written: BTreeSet<PathBuf>,
}

impl FileAnnotator<'_> {
    fn file(&mut self, path: &Path, name: &Path, sink: &mut Sink) -> Result<()> {
        let file = name.to_string_lossy().into_owned();
        if is_video(path) {
            return self.video(path, &file, name, sink);
        }
        let mut picture = load_rgb(path)?;
        let faces = self.annotator.picture(&file, &mut picture, sink)?;
        if !self.request.only_csv {
            let png = has_ending(path, &["png"]);
            let bytes = if png { encode_png(&picture)? } else { encode_jpeg(&picture, 95)? };
            self.out.write(name, &bytes)?;
            self.written.insert(name.to_owned());
        }
        let done = &mut self.done;
        done.pictures += 1;
        done.faces += faces;
        done.without_face += u64::from(faces == 0);
        Ok(())
    }

    fn video(&mut self, path: &Path, file: &str, name: &Path, sink: &mut Sink) -> Result<()> {
        let copy = match self.request.only_csv {
            true => None,
            false => {
                let name = name.with_extension(redraw::extension(path));
                let target = self.out.target(&name)?;
                self.written.insert(name);
                Some(target)
            }
        };
        let start = Instant::now();
        let reel = self.annotator.video(file, path, copy, sink)?;
        let done = &mut self.done;
        done.video_seconds += start.elapsed().as_secs_f64();
        done.videos += 1;
        done.frames += reel.frames;
        done.faces += reel.faces;
        done.without_face += u64::from(reel.faces == 0);
        Ok(())
    }
}
