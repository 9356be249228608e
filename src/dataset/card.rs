//! What goes beside the tables: the dataset card for people, and the record of how and where the
//! build ran, which is the one file that may differ between equal builds.
use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{json, Value};

use super::{
    rules::Configuration, tables::Tables, BuildOptions, BuildSummary, Config, ImageFormat,
    ImportConfig,
};
use crate::{corpus::Listing, folder::OutputFolder, media::library::library};

/// The dataset card's name, which data hubs show.
const CARD: &str = "README.md";

/// The provenance record's name.
const RECORD: &str = "build.json";

/// Writes the dataset card; depends on the rows alone, so that equal builds have equal cards.
pub(super) fn write(
    out: &OutputFolder,
    config: &Configuration,
    listing: &Listing,
    tables: &Tables,
    summary: &BuildSummary,
) -> Result<()> {
    let (title, intro, choices) = match config {
        Configuration::Build(config) => (
            "# Emotion frames drawn from video clips",
            intro(config, listing, tables, summary),
            choices(config, tables),
        ),
        Configuration::Import(config) => (
            "# Emotion stills",
            imported_intro(config, tables, summary),
            imported_choices(config, tables),
        ),
    };
    let mut text = format!("{}{title}\n\n{intro}", front_matter(summary));
    text.push_str("\n## Samples\n\n");
    text.push_str(&summary.class_table());
    text.push_str("\n## Left out\n\n");
    text.push_str(&left_out_table(summary, listing));
    text.push_str("\n## How it was made\n\n");
    text.push_str(&choices);
    for remark in &listing.remarks {
        let _ = writeln!(text, "- list: {remark}");
    }
    text.push_str(CITATION);
    out.write(CARD, text.as_bytes())
}

/// What data hubs read: which file is which table, so that the folder loads as it is.
fn front_matter(summary: &BuildSummary) -> String {
    let size = match summary.total() {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        _ => "100K<n<1M",
    };
    let mut text = format!(
        "---\npretty_name: Emotion frames\nlicense: other\ntask_categories:\n- image-classification\n\
         tags:\n- emotion-recognition\n- faces\nsize_categories:\n- {size}\nconfigs:\n"
    );
    for table in ["samples", "clips", "ledger"] {
        let _ = writeln!(text, "- config_name: {table}\n  data_files: {table}.parquet");
        if table == "samples" {
            text.push_str("  default: true\n");
        }
    }
    text + "---\n\n"
}

const CITATION: &str = "\n## How to cite\n\n\
    Frames of CAER are for research under the terms of its authors; cite\n\n\
    - J. Lee, S. Kim, S. Kim, J. Park, K. Sohn: Context-aware emotion recognition networks, ICCV 2019 (the clips);\n\
    - N. Le, K. Nguyen, A. Nguyen, B. Le: Global-local attention for emotion recognition, Neural Computing and Applications, 2021 (the construction rule);\n\
    - ncaers and its version (this rebuild), with the seed and the digest above.\n";

fn intro(config: &Config, listing: &Listing, tables: &Tables, summary: &BuildSummary) -> String {
    let digest = tables.meta.get("input_digest").map_or("", |d| d);
    format!(
        "{} samples from {} of {} clips of a corpus laid out as `{}`, rebuilt by ncaers {} with \
         seed {}. One frame is drawn at random from every part of about {} s of every clip; no \
         video crosses splits.\n\nInput digest: `{digest}`.\n\nThis is a rebuild by the published \
         rule, not the authors' release: their list of frames is not public, so counts differ.\n",
        summary.total(),
        summary.clips_used,
        summary.clips,
        listing.corpus,
        env!("CARGO_PKG_VERSION"),
        config.seed,
        config.segment_seconds,
    )
}

fn left_out_table(summary: &BuildSummary, listing: &Listing) -> String {
    let litter = match listing.litter {
        0 => String::new(),
        n => format!("\n{n} files and folders that systems leave behind were passed over.\n"),
    };
    if summary.left_out.is_empty() {
        return format!("Nothing.\n{litter}");
    }
    let mut text = String::from("| what, why | count |\n|---|---:|\n");
    for (reason, count) in &summary.left_out {
        let _ = writeln!(text, "| {reason} | {count} |");
    }
    text.push_str("\nEvery one is a row of `ledger.parquet`.\n");
    text + &litter
}

fn imported_intro(config: &ImportConfig, tables: &Tables, summary: &BuildSummary) -> String {
    let digest = tables.meta.get("input_digest").map_or("", |d| d);
    format!(
        "{} of {} stills laid out as `{}`, imported by ncaers {} with seed {}. Pictures are as \
         they were; no group of like pictures crosses splits unless the policy below keeps \
         it.\n\nInput digest: `{digest}`.\n",
        summary.total(),
        summary.clips,
        config.layout,
        env!("CARGO_PKG_VERSION"),
        config.seed,
    )
}

/// How the pictures of an import became samples.
fn imported_choices(config: &ImportConfig, tables: &Tables) -> String {
    let faces = tables.faces();
    let remarks = tables.clips.iter().filter(|c| c.reason.is_some()).count();
    let validation = match config.val_share {
        Some(share) => format!(
            "- validation part: {} % of train, since the stills come with train and test only; by \
             class, whole groups and runs of neighbouring frames, drawn with seed {}; the moved \
             stills are the rows of kind `split` of `ledger.parquet` and keep their ids, which \
             name the split that they came in\n",
            share.percent(),
            config.seed
        ),
        None => String::new(),
    };
    format!(
        "- faces: {}; {faces} samples have one\n- choice of face: {}, its box widened by {} on \
         every side\n- face required: {}\n- balance of classes in a split: {}\n- like pictures in \
         two splits: {}\n{validation}- stills with a remark in `clips.parquet` (a missing or overhanging box, \
         or damage): {remarks}\n",
        config.detector_settings,
        config.choose,
        config.margin,
        config.require_face,
        config.balance,
        config.on_leak,
    )
}

fn choices(config: &Config, tables: &Tables) -> String {
    let faces = tables.faces();
    let partial = tables.clips.iter().filter(|c| c.status.name() == "partial").count();
    let mut text = String::new();
    let mut line = |what: &str, how: String| {
        let _ = writeln!(text, "- {what}: {how}");
    };
    line("face detector", format!("{}; {faces} samples have a face", config.detector_settings));
    let (choose, margin) = (config.choose, config.margin);
    line("choice of face", format!("{choose}, its box widened by {margin} on every side"));
    line("face required", config.require_face.to_string());
    line("balance of classes in a split", config.balance.to_string());
    line("videos in two splits", config.on_leak.to_string());
    line("damaged clips of which frames are used", partial.to_string());
    let (damaged, redrawn) = tables.damaged_and_redrawn();
    if damaged + redrawn > 0 {
        let words =
            format!("{redrawn} samples drawn anew because of them, {damaged} kept as samples");
        line("damaged frames", words);
    }
    let frames = match config.image_format {
        ImageFormat::Jpeg => {
            format!("JPEG, quality {}, no chroma subsampling", config.jpeg_quality)
        }
        ImageFormat::Png => "PNG".into(),
    };
    line("frames", frames);
    if config.fast {
        line(
            "limit",
            "built with --fast: of MPEG-4 clips whose headers prove that every packet is a frame, \
             packets were counted, and videos were grouped by equal bytes only, not by content"
                .into(),
        );
    }
    text
}

/// Writes how, when and where a build ran.
pub(super) fn write_build_record(
    out: &OutputFolder,
    config: &Config,
    options: &BuildOptions,
    summary: &BuildSummary,
) -> Result<()> {
    let run = json!({"workers": options.workers, "time_limit_s": options.time_limit.as_secs_f64()});
    write_record(out, config, run, summary)
}

/// Writes how, when and where a merge ran.
pub(super) fn write_merge_record(
    out: &OutputFolder,
    config: &Config,
    shards: usize,
    summary: &BuildSummary,
) -> Result<()> {
    write_record(out, config, json!({"merged_shards": shards}), summary)
}

/// Writes how, when and where an import ran.
pub(super) fn write_import_record(
    out: &OutputFolder,
    config: &Configuration,
    summary: &BuildSummary,
) -> Result<()> {
    write_record(out, config, json!({"imported": true}), summary)
}

fn write_record(
    out: &OutputFolder,
    config: &impl serde::Serialize,
    run: Value,
    summary: &BuildSummary,
) -> Result<()> {
    let finished = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let record = json!({
        "program": concat!("ncaers ", env!("CARGO_PKG_VERSION")),
        "commit": option_env!("NCAERS_COMMIT"),
        "host": host.trim(),
        "finished_unix_s": finished,
        "ffmpeg": ffmpeg_version(),
        "ffmpeg_build": library(),
        "run": run,
        "configuration": config,
        "summary": summary,
    });
    out.write_json(RECORD, &record)
}

fn ffmpeg_version() -> String {
    let version = crate::media::video::decoder_version();
    format!("libavcodec {}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_table_counts_every_class_of_every_split() {
        let class = |n| BTreeMap::from([("Fear".to_owned(), n)]);
        let samples =
            BTreeMap::from([("train".to_owned(), class(5)), ("test".to_owned(), class(2))]);
        let table = BuildSummary { samples, ..BuildSummary::default() }.class_table();
        assert!(table.contains("| Fear | 5 | 0 | 2 | 7 |"), "{table}");
        assert!(table.contains("| Anger | 0 | 0 | 0 | 0 |"), "{table}");
        assert!(table.ends_with("| total | 5 | 0 | 2 | 7 |\n"), "{table}");
    }
}
