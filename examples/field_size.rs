//! The figures of `docs/measurements/scaling.md` on a corpus of CAER's size: 13,201 clips in its layout, a few
//! hundred encoded ones under other names, built by workers whose memory is looked at twice a second.
//!
//! `cargo run --release --example field_size -- FOLDER [CLIPS [WORKERS,... [WORDS OF BUILD ...]]]` makes
//! `FOLDER/corpus` when it is missing and builds it with each number of workers (2 unless told) into
//! `FOLDER/out-WORKERS`; progress goes by, the memory of the processes and a table of the times follow.
//! Of two numbers of workers the part that is done one by one is told, and what 16 would take. Where `FOLDER/photographs` has pictures
//! (`tests/tools/face_photographs.sh` brings some with faces), the clips are the field's: every one
//! has 712 x 400 pixels, 4.5 s of MPEG-4 with B-frames and sound, and pans over a photograph.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use image::{imageops, Rgb, RgbImage};
use ncaers::{
    internals::{
        media::{
            encode::{write_clip, ClipFormat, Codec},
            image::load_rgb,
        },
        seed::Draws,
    },
    record::Emotion,
};

/// CAER's number of clips.
const CLIPS: usize = 13_201;
/// Clips that are really encoded; the others are links to them.
const ENCODED: usize = 300;
/// Every so many encoded clips, one has the field's size.
const LARGE_EVERY: usize = 20;
/// Clips of each photograph.
const PANS: usize = 4;
/// Frames of such a clip: 4.5 s.
const FRAMES: u32 = 112;
/// Time between two looks at the processes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let folder = PathBuf::from(words.next().context("no folder is named")?);
    let clips = words.next().and_then(|n| n.parse().ok()).unwrap_or(CLIPS);
    let corpus = folder.join("corpus");
    if !corpus.exists() {
        make(&corpus, clips)?;
    }
    let counts = words.next().unwrap_or_else(|| "2".into());
    let counts: Vec<u32> = counts.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let words: Vec<String> = words.collect();
    let runs = counts.iter().map(|&workers| build(&folder, workers, &words));
    tell_times(&runs.collect::<Result<Vec<_>>>()?);
    Ok(())
}

/// What a build took.
struct Run {
    workers: u32,
    /// By the clock.
    seconds: f64,
    /// Of all its processes.
    cpu_seconds: f64,
    clips: u64,
    /// Seconds in all workers together, by stage.
    stages: BTreeMap<String, f64>,
}

/// Builds the corpus, and tells of the memory.
fn build(folder: &Path, workers: u32, words: &[String]) -> Result<Run> {
    let program = std::env::current_exe()?;
    let program = program.ancestors().nth(2).context("no folder of programs")?.join("ncaers");
    let (start, before) = (Instant::now(), cpu_seconds_of_children());
    let mut build = Command::new(program)
        .args(["build", "--json", "--seed", "1", "--on-leak", "keep", "--workers"])
        .arg(workers.to_string())
        .arg("--corpus")
        .arg(folder.join("corpus"))
        .arg("--out")
        .arg(folder.join(format!("out-{workers}")))
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start `ncaers`; build it first")?;
    let looks = watch(&mut build)?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu_seconds_of_children() - before;
    tell(&looks, build.id());
    let summary: serde_json::Value =
        serde_json::from_reader(build.stdout.take().context("no output")?)
            .context("the build gave no summary; is it done already?")?;
    let stages = serde_json::from_value(summary["stage_seconds"].clone())?;
    let clips = summary["clips"].as_u64().context("a summary without clips")?;
    Ok(Run { workers, seconds, cpu_seconds, clips, stages })
}

/// CPU seconds of all processes that ended and were waited for, and of theirs.
fn cpu_seconds_of_children() -> f64 {
    // SAFETY: getrusage fills the whole struct; zeros are a valid one should it fail.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// A table of all runs, and what follows of two.
fn tell_times(runs: &[Run]) {
    println!("\n| workers | clips | s by the clock | CPU s | CPU ms per clip | stages, s in all workers |");
    println!("|---:|---:|---:|---:|---:|---|");
    for run in runs {
        let stages: Vec<_> = run.stages.iter().map(|(name, s)| format!("{name} {s:.1}")).collect();
        println!(
            "| {} | {} | {:.1} | {:.1} | {:.1} | {} |",
            run.workers,
            run.clips,
            run.seconds,
            run.cpu_seconds,
            1e3 * run.cpu_seconds / run.clips as f64,
            stages.join(", ")
        );
    }
    let [few, .., many] = runs else { return };
    // The clock shows the part that is done one by one and a worker's share of the rest.
    let shares = |run: &Run| 1.0 / f64::from(run.workers);
    let shared = (few.seconds - many.seconds) / (shares(few) - shares(many));
    let alone = many.seconds - shared * shares(many);
    println!(
        "\n{alone:.1} s one by one, {shared:.1} s shared among workers; 16 would take {:.1} s if they \
         were as fast as these",
        alone + shared / 16.0
    );
}

/// Split and class folders with about CAER's shares.
fn make(corpus: &Path, clips: usize) -> Result<()> {
    let encoded = corpus.with_extension("encoded");
    let photographs = photographs(&corpus.with_file_name("photographs"))?;
    let kinds: Vec<PathBuf> = if photographs.is_empty() {
        (0..ENCODED.min(clips)).map(|n| encode(&encoded, n)).collect::<Result<_>>()?
    } else {
        let panned = |n: usize| pan(&encoded, n, &photographs[n / PANS]);
        (0..(PANS * photographs.len()).min(clips)).map(panned).collect::<Result<_>>()?
    };
    for n in 0..clips {
        let split = [
            "train",
            "train",
            "train",
            "train",
            "train",
            "train",
            "train",
            "validation",
            "test",
            "test",
        ][n % 10];
        let class = Emotion::ALL[n / 10 % Emotion::ALL.len()];
        let target = corpus.join(format!("{split}/{class}/{n:05}.avi"));
        fs::create_dir_all(target.parent().context("a folder")?)?;
        fs::hard_link(&kinds[n % kinds.len()], &target)?;
    }
    Ok(())
}

/// The pictures of a folder; none when it is not there.
fn photographs(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder)?;
    let mut paths: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    paths.sort();
    Ok(paths)
}

/// A clip that pans over a photograph: upper or lower part, straight or mirrored.
fn pan(folder: &Path, n: usize, photograph: &Path) -> Result<PathBuf> {
    let path = folder.join(format!("{n:03}.avi"));
    let (width, height) = (712, 400);
    let photograph = load_rgb(photograph)?;
    let scale = 1.25 * f64::from(width) / f64::from(photograph.width());
    let wide = (f64::from(photograph.width()) * scale) as u32;
    let high = ((f64::from(photograph.height()) * scale) as u32).max(height);
    let mut still = imageops::resize(&photograph, wide, high, imageops::FilterType::Triangle);
    if n.is_multiple_of(2) {
        still = imageops::flip_horizontal(&still);
    }
    let top = if n % PANS < PANS / 2 { 0 } else { (high - height) / 2 };
    let frame = |i: u32| {
        let left = (wide - width) * i / FRAMES;
        imageops::crop_imm(&still, left, top, width, height).to_image()
    };
    let format = ClipFormat {
        width,
        height,
        quality: 5,
        b_frames: 2,
        tone_hz: Some(440.0),
        ..ClipFormat::default()
    };
    write_clip(&path, &format, (0..FRAMES).map(frame))?;
    Ok(path)
}

/// A clip of 40 to 100 frames of moving blocks: MPEG-4 or H.264, mostly 320 x 184.
fn encode(folder: &Path, n: usize) -> Result<PathBuf> {
    let path = folder.join(format!("{n:03}.avi"));
    let mut draws = Draws::new(1, "field size", &n.to_string());
    let (width, height) = if n.is_multiple_of(LARGE_EVERY) { (712, 400) } else { (320, 184) };
    let still = RgbImage::from_fn(32, 20, |_, _| Rgb([0; 3].map(|_: u8| draws.below(256) as u8)));
    let still = imageops::resize(&still, width, height, imageops::FilterType::Triangle);
    let frames = 40 + draws.below(60) as u32;
    let frame = |i: u32| {
        let moved = |x: u32, y: u32| *still.get_pixel((x + 3 * i) % width, (y + i) % height);
        RgbImage::from_fn(width, height, moved)
    };
    let format = ClipFormat {
        width,
        height,
        codec: if n.is_multiple_of(3) { Codec::H264 } else { Codec::Mpeg4 },
        quality: if n.is_multiple_of(3) { 23 } else { 5 },
        b_frames: n % 3,
        tone_hz: n.is_multiple_of(2).then_some(440.0),
        ..ClipFormat::default()
    };
    write_clip(&path, &format, (0..frames).map(frame))?;
    Ok(path)
}

/// Memory of one process in MB: private, clean of it, in all.
#[derive(Clone, Copy, Default)]
struct Look {
    seconds: f64,
    private: f64,
    clean: f64,
    resident: f64,
}

/// Looks at the build and its children until it ends.
fn watch(build: &mut Child) -> Result<BTreeMap<u32, Vec<Look>>> {
    let start = Instant::now();
    let mut looks: BTreeMap<u32, Vec<Look>> = BTreeMap::new();
    while build.try_wait()?.is_none() {
        for pid in children(build.id()).into_iter().chain([build.id()]) {
            if let Some(look) = look(pid) {
                let seconds = start.elapsed().as_secs_f64();
                looks.entry(pid).or_default().push(Look { seconds, ..look });
            }
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(looks)
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
    lists
        .flat_map(|l| l.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn look(pid: u32) -> Option<Look> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let megabytes = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
    };
    let clean = megabytes("Private_Clean:");
    Some(Look {
        seconds: 0.0,
        private: clean + megabytes("Private_Dirty:"),
        clean,
        resident: megabytes("Rss:"),
    })
}

/// A line per process: its memory over time in ten parts, and the most.
fn tell(looks: &BTreeMap<u32, Vec<Look>>, build: u32) {
    println!("private memory in MB over ten parts of the time (most of each), and the most");
    for (pid, looks) in looks.iter().filter(|(_, looks)| looks.len() >= 10) {
        let most = |looks: &[Look]| looks.iter().map(|l| l.private).fold(0.0, f64::max);
        let parts: Vec<_> =
            looks.chunks(looks.len().div_ceil(10)).map(|c| format!("{:.0}", most(c))).collect();
        let peak = looks.iter().max_by(|a, b| a.private.total_cmp(&b.private));
        let peak = peak.copied().unwrap_or_default();
        println!(
            "{} {pid}: {}; most {:.1} at {:.0} s ({:.1} of it clean), {:.0} resident",
            if *pid == build { "build" } else { "worker" },
            parts.join(" "),
            peak.private,
            peak.seconds,
            peak.clean,
            looks.iter().map(|l| l.resident).fold(0.0, f64::max),
        );
    }
}
