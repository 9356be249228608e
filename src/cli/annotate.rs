//! `ncaers annotate IMAGE|VIDEO|DIR --run DIR --out DIR`
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::json;

use super::Done;
use crate::{
    annotate::{Annotator, FaceRow, Settings},
    corpus::{demo, EXTENSIONS},
    device::ComputeDevice,
    escape::csv_cell,
    experiment::Experiment,
    face::{self, Request},
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

/// Draw every face's box, label and confidence into pictures and videos, and list them in faces.csv
///
/// A folder is taken with all below it. Videos come out as H.264 (MPEG-4 where this FFmpeg lacks
/// libx264) with their first sound track copied. A label is a model's guess about a picture; it
/// does not tell what a person feels, and nothing about anybody may be decided by it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers annotate holiday.mp4 --run data/demo/runs/GLA-1 --out annotated --every 5\n\nLabels are guesses of a model, not feelings of people: annotate only whom you may, and decide nothing by it."
)]
pub struct Args {
    /// A picture (.jpg, .png), a video, or a folder of both
    input: PathBuf,
    /// The run folder whose selected checkpoint predicts
    #[arg(long)]
    run: PathBuf,
    /// Folder to write into: pictures and videos under their names, and faces.csv
    #[arg(long)]
    out: PathBuf,
    /// Look for faces in every n-th frame of a video only, and follow them in between by matching
    /// their pixels: faster, but a followed box keeps its size and may drift
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Lay the model's attention over the picture (the mean over its faces); what the model does
    /// not see is dim
    #[arg(long)]
    attention: bool,
    /// Write faces.csv only, no pictures and videos
    #[arg(long)]
    only_csv: bool,
    /// seeta or mmod
    #[arg(long, default_value = "seeta")]
    detector: String,
    /// Share by which a face's box grows on every side [default: that of the run's pack, or 0
    /// where the pack is gone]
    #[arg(long)]
    margin: Option<f64>,
    /// Where the model and mmod run: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
}

/// The list of faces in the output folder.
const FACES: &str = "faces.csv";

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    pictures: u64,
    videos: u64,
    frames: u64,
    faces: u64,
    without_face: u64,
    video_seconds: f64,
    problems: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let files = files(&args.input)?;
    let folder = RunFolder::new(&args.run);
    let precision = train::precision_of(&folder.record()?)?;
    let machine = ComputeDevice::open(&args.device, precision)?;
    machine.warning().iter().for_each(|warning| progress::message(warning));
    if args.detector != "mmod" {
        // A frame's few faces are too little to share: a second thread spent its time waiting for
        // the first, seven eighths of the whole.
        tch::set_num_threads(1);
    }
    let reader = FaceReader::open(&folder, machine.device())?;
    // mmod runs where the model does; other detectors have no device.
    let device = (args.detector == "mmod").then(|| args.device.clone());
    let detector = face::open(&Request { device, ..Request::named(&args.detector) })?
        .context("faces cannot be annotated without a detector; take seeta or mmod")?;
    let settings = settings(args, &folder)?;
    if let Some(notice) = settings.notice {
        progress::message(&format!("note: {notice}"));
    }
    let annotator = Annotator::new(reader, detector, settings);
    refuse_folder_of_originals(args)?;
    let out = folder::claim_standing(&args.out, "annotate")?;
    let written = BTreeSet::from([PathBuf::from(FACES)]);
    let mut work = Work { args, out: &out, annotator, tally: Tally::default(), written };
    out.write_with(FACES, |file| {
        let mut writer = csv::Writer::from_writer(file);
        for (path, name) in &files {
            let mut sink = |row: FaceRow| {
                let file = csv_cell(&row.file).into_owned();
                Ok(writer.serialize(FaceRow { file, ..row })?)
            };
            if let Err(e) = work.file(path, name, &mut sink) {
                work.tally.problems.push(format!("{e:#}"));
            }
        }
        Ok(writer.flush()?)
    })?;
    // What an earlier call left.
    out.retain(|name| work.written.contains(name))?;
    summary(&machine, args, &work.tally, &out.path().join(FACES))
}

/// How the run's pack was made, and what must be said of the run.
///
/// # Errors
/// When the pack is not at hand and no margin is given: faces cut out otherwise than in training
/// are judged otherwise.
fn settings(args: &Args, folder: &RunFolder) -> Result<Settings> {
    let experiment = Experiment::of_run(folder.path());
    let pack = |experiment: &Experiment| -> Result<Preprocessing> {
        let pack = Pack::open(&pack::path_of(experiment.pack()?, Split::Train))?;
        Ok(pack.preprocessing().clone())
    };
    let known = match (experiment.as_ref().map_err(ToString::to_string), args.margin) {
        (Ok(experiment), None) => pack(experiment)
            .context("the run's pack is not at hand; say its margin with --margin (0 for none)")?,
        (Ok(experiment), Some(_)) => pack(experiment).unwrap_or_default(),
        (Err(_), Some(_)) => Preprocessing::default(),
        (Err(error), None) => bail!("{error}; say the pack's margin with --margin (0 for none)"),
    };
    // Records of before it was written down leave it to the data set.
    let is_demonstration = folder.record()?.synthetic || experiment.is_ok_and(|e| e.is_synthetic());
    let on_its_own = args.input.ancestors().any(demo::is_root);
    Ok(Settings {
        every: args.every,
        attention: args.attention,
        margin: args.margin.unwrap_or(known.margin),
        mask_value: known.mask_value,
        notice: (is_demonstration && !on_its_own).then_some(super::DEMONSTRATION),
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
fn refuse_folder_of_originals(args: &Args) -> Result<()> {
    let from = match args.input.is_dir() {
        true => args.input.clone(),
        false => args.input.canonicalize()?.parent().map(Path::to_owned).unwrap_or_default(),
    };
    let from = from.canonicalize()?;
    let out = resolved(&args.out)?;
    ensure!(
        out != from,
        "{} is the folder of the originals; choose another --out",
        args.out.display()
    );
    ensure!(
        !(args.input.is_dir() && out.starts_with(&from)),
        "{} lies below the folder of the originals; choose another --out",
        args.out.display()
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
struct Work<'a> {
    args: &'a Args,
    out: &'a OutputFolder,
    annotator: Annotator,
    tally: Tally,
    /// Names of what was written.
    written: BTreeSet<PathBuf>,
}

impl Work<'_> {
    fn file(&mut self, path: &Path, name: &Path, sink: &mut crate::annotate::Sink) -> Result<()> {
        let file = name.to_string_lossy().into_owned();
        if is_video(path) {
            return self.video(path, &file, name, sink);
        }
        let mut picture = load_rgb(path)?;
        let faces = self.annotator.picture(&file, &mut picture, sink)?;
        if !self.args.only_csv {
            let png = has_ending(path, &["png"]);
            let bytes = if png { encode_png(&picture)? } else { encode_jpeg(&picture, 95)? };
            self.out.write(name, &bytes)?;
            self.written.insert(name.to_owned());
        }
        let tally = &mut self.tally;
        tally.pictures += 1;
        tally.faces += faces;
        tally.without_face += u64::from(faces == 0);
        Ok(())
    }

    fn video(
        &mut self,
        path: &Path,
        file: &str,
        name: &Path,
        sink: &mut crate::annotate::Sink,
    ) -> Result<()> {
        let copy = match self.args.only_csv {
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
        let tally = &mut self.tally;
        tally.video_seconds += start.elapsed().as_secs_f64();
        tally.videos += 1;
        tally.frames += reel.frames;
        tally.faces += reel.faces;
        tally.without_face += u64::from(reel.faces == 0);
        Ok(())
    }
}

fn summary(machine: &ComputeDevice, args: &Args, tally: &Tally, csv: &Path) -> Result<Done> {
    if tally.pictures + tally.videos == 0 {
        bail!("nothing was annotated: {}", tally.problems.join("; "));
    }
    for problem in &tally.problems {
        progress::message(&format!("{machine}: left out: {problem}"));
    }
    let rate = (tally.frames > 0).then(|| tally.frames as f64 / tally.video_seconds);
    let mut text = format!(
        "{machine}: {} pictures and {} videos ({} frames), {} faces in {}",
        tally.pictures,
        tally.videos,
        tally.frames,
        tally.faces,
        args.out.display()
    );
    if tally.without_face > 0 {
        text += &format!("; no face found in {} of them", tally.without_face);
    }
    if let Some(rate) = rate {
        text += &format!("; {rate:.1} frames/s");
    }
    let codec = (tally.videos > 0 && !args.only_csv).then(redraw::codec);
    if let Some(codec) = codec {
        text += &format!("; videos are {}", codec.told());
    }
    if !tally.problems.is_empty() {
        text += &format!("; {} files left out", tally.problems.len());
    }
    let json = json!({
        "device": machine.to_string(),
        "pictures": tally.pictures,
        "videos": tally.videos,
        "frames": tally.frames,
        "faces": tally.faces,
        "without_face": tally.without_face,
        "frames_per_s": rate,
        "problems": tally.problems,
        "csv": csv,
        "video_codec": codec.map(Codec::name),
    });
    Ok(Done { text, json, exit: 0 })
}
