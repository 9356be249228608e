//! `ncaers annotate IMAGE|VIDEO|DIR --run DIR --out DIR`
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::Done;
use crate::{
    annotate::{annotate, AnnotateRequest, Annotated},
    media::encode::Codec,
    progress,
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

pub(super) fn run(args: &Args) -> Result<Done> {
    let done = annotate(&AnnotateRequest {
        input: args.input.clone(),
        run: args.run.clone(),
        out: args.out.clone(),
        every: args.every,
        attention: args.attention,
        only_csv: args.only_csv,
        detector: args.detector.clone(),
        margin: args.margin,
        device: args.device.clone(),
    })?;
    Ok(summary(args, &done))
}

fn summary(args: &Args, done: &Annotated) -> Done {
    let Annotated { device, pictures, videos, frames, faces, without_face, problems, .. } = done;
    for problem in problems {
        progress::message(&format!("{device}: left out: {problem}"));
    }
    let rate = (*frames > 0).then(|| *frames as f64 / done.video_seconds);
    let mut text = format!(
        "{device}: {pictures} pictures and {videos} videos ({frames} frames), {faces} faces in {}",
        args.out.display()
    );
    if *without_face > 0 {
        text += &format!("; no face found in {without_face} of them");
    }
    if let Some(rate) = rate {
        text += &format!("; {rate:.1} frames/s");
    }
    if let Some(codec) = done.codec {
        text += &format!("; videos are {}", codec.summary());
    }
    if !problems.is_empty() {
        text += &format!("; {} files left out", problems.len());
    }
    let json = json!({
        "device": device,
        "pictures": pictures,
        "videos": videos,
        "frames": frames,
        "faces": faces,
        "without_face": without_face,
        "frames_per_s": rate,
        "problems": problems,
        "csv": done.csv,
        "video_codec": done.codec.map(Codec::name),
    });
    Done { text, json, exit: 0 }
}
