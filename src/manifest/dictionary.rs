//! What every column of our tables means: the page `docs/columns.md`, whose types come from the
//! tables themselves.
use std::fmt::Write as _;

use polars::prelude::{Column, DataType};

use super::{located, pixels, recipe, rows};

/// A table's name, what a row of it is, its columns as an empty table has them, and their
/// meanings by name.
type Described =
    (&'static str, &'static str, fn() -> Vec<Column>, &'static [(&'static str, &'static str)]);

const TABLES: &[Described] = &[
    (
        "samples",
        "A frame (or still) with its label and face.",
        || rows::sample_columns(&[]),
        SAMPLES,
    ),
    (
        "clips",
        "A video, or a still that stands for one; also what was left out.",
        || rows::clip_columns(&[]),
        CLIPS,
    ),
    ("ledger", "Something that was left out, and why.", || rows::ledger_columns(&[]), LEDGER),
    (
        "predictions-SPLIT",
        "A model's answer for one sample.",
        || rows::prediction_columns(&[]),
        PREDICTIONS,
    ),
    (
        "pixels",
        "What the decoder gave for a sample; beside the samples of a build.",
        || pixels::columns(&[]),
        PIXELS,
    ),
    ("located", "A still and the frame that it was taken from.", || located::columns(&[]), LOCATED),
    (
        "differences",
        "One thing in which two data sets differ (`diff --out FILE`).",
        || recipe::difference_columns(&[]),
        DIFFERENCES,
    ),
];

const PIXELS: &[(&str, &str)] = &[
    ("sample_id", "the sample"),
    ("pixel_sha256", "SHA-256 of the decoded pixels, before any conversion; see `recipe.md`"),
];

const LOCATED: &[(&str, &str)] = &[
    ("still", "the picture, below the folder of stills"),
    ("split", "the split that its folder names"),
    ("label", "the class that its folder names"),
    ("clip_id", "the clip; the best candidate's where it was not found"),
    ("frame_index", "the n-th frame out of the decoder, from 0"),
    ("run_first", "first of the frames that cannot be told from it"),
    ("run_last", "last of these"),
    ("score", "root mean square difference in luma levels, contrast and brightness made the same"),
    ("runner_up_clip_id", "the best other clip"),
    ("runner_up_score", "its score"),
    ("transform", "what was done to the picture; `none` where nothing was"),
    ("status", "`found` or `not_found`"),
    ("reason", "why not, where the picture itself is at fault"),
    ("part_x1", "left edge of the part of the frame that the still shows, in its pixels"),
    ("part_y1", "top edge"),
    ("part_x2", "right edge"),
    ("part_y2", "bottom edge"),
    ("clip_path", "the clip's file, relative to the corpus"),
    ("clip_sha256", "SHA-256 of the clip's file"),
    ("pixel_sha256", "SHA-256 of the frame's decoded pixels"),
    ("width", "of the frame in pixels"),
    ("height", "of the frame in pixels"),
];

const DIFFERENCES: &[(&str, &str)] = &[
    ("sample_id", "the sample"),
    (
        "difference",
        "`added`, `removed`, `split`, `label`, `group`, `frame`, `box`, `pixels` or `bytes`",
    ),
    ("before", "in the first"),
    ("after", "in the second"),
];

const SAMPLES: &[(&str, &str)] = &[
    ("sample_id", "clip_id, slash, segment with three digits; of stills the clip_id"),
    ("split", "`train`, `val` or `test`"),
    ("emotion", "class: `Anger`, `Disgust`, `Fear`, `Happy`, `Neutral`, `Sad` or `Surprise`"),
    ("label", "the class as a number, 0 to 6 in that order"),
    ("clip_id", "the clip that it comes from"),
    ("group_id", "smallest clip_id of the clips that are the same video; a group is in one split"),
    ("segment", "part of the clip, from 0; null for stills"),
    ("segment_start_frame", "first frame of the segment"),
    ("segment_end_frame", "the frame after its last one"),
    ("frame_index", "the n-th frame out of the decoder, from 0; null for stills"),
    ("frame_ms", "1000 frame_index / fps"),
    ("image_path", "the picture, relative to the folder of the table"),
    ("image_sha256", "SHA-256 of the picture file, lower-case hex"),
    ("width", "of the picture in pixels"),
    ("height", "of the picture in pixels"),
    ("face_x1", "left edge of the chosen face in pixels, inside the box; null without a face"),
    ("face_y1", "top edge, inside the box"),
    ("face_x2", "right edge, outside the box"),
    ("face_y2", "bottom edge, outside the box"),
    ("face_score", "the detector's confidence, in its own unit"),
    ("face_count", "faces that were found; null when none were looked for"),
    ("detector", "name and settings of the detector; `none` without"),
    (
        "damage",
        "`none`, `concealed` (the decoder filled in what was lost) or `corrupt`, of the frame or of one that it is predicted from",
    ),
    (
        "draw",
        "which draw of the segment: 0 the first, more when damaged frames were drawn before; null for stills",
    ),
];

const CLIPS: &[(&str, &str)] = &[
    ("clip_id", "split, class and file name without extension: `train/Happy/0001`"),
    ("path", "relative to the corpus folder; bytes that are no UTF-8 as `\\xHH`"),
    ("sha256", "of the file, lower-case hex; null when it could not be read"),
    ("split", "`train`, `val` or `test`"),
    ("emotion", "the class"),
    ("codec", "as FFmpeg calls it; null for stills and files that did not open, as below"),
    ("pixel_format", "as FFmpeg calls it"),
    ("width", "of the saved frames in pixels, after rotation"),
    ("height", "of the saved frames in pixels, after rotation"),
    ("sample_aspect_ratio", "`n:d`; recorded, not applied"),
    ("rotation", "clockwise degrees that were applied: 0, 90, 180 or 270"),
    ("color_matrix", "matrix from YUV to RGB, such as `bt601` or `bt709`"),
    ("color_range", "`limited` or `full`"),
    ("color_transfer", "transfer characteristic as FFmpeg calls it"),
    ("interlaced", "whether any frame was marked so"),
    ("fps", "average frames per second; 25, with a remark, when the file says less than 1 or more than 240"),
    ("frames_decoded", "frames that left the decoder"),
    ("frames_header", "what the header claims; never used"),
    ("duration_ms", "1000 frames_decoded / fps"),
    ("has_b_frames", "whether the stream reorders frames"),
    ("default_stream", "whether the decoded stream is the one that the file marks as default"),
    ("status", "`ok`, `partial` (some frames decoded) or `rejected`; of decoding only"),
    ("reason", "why it is not `ok`, or a remark"),
    ("group_id", "smallest clip_id of the clips that are the same video"),
    ("signature", "perceptual hashes on a fixed grid, one every 0.5 s; null when not computed"),
    ("orientation", "how the stored pictures were turned to stand upright, EXIF's 1 to 8"),
    ("first_frame", "first frame of the part of the file that is the clip; null for the whole file"),
    ("end_frame", "the frame after that part"),
    (
        "views",
        "what altered and retimed copies are recognised by, packed: a view every second, hashes every 0.125 s; null when not computed, of stills and in tables of version 1",
    ),
    ("orientation", "how pictures were turned, by EXIF's numbers"),
    ("first_frame", "first frame of the file that is the clip, where it is a part of it"),
    ("end_frame", "the frame behind the last one of that part"),
];

const LEDGER: &[(&str, &str)] = &[
    ("kind", "`file`, `clip`, `segment`, `sample`, or `split` for a clip that was moved to another split"),
    ("id", "its clip_id or sample_id"),
    ("reason", "short code, such as `unreadable` or `balance`"),
    ("detail", "the reason in words"),
    ("partner_id", "the clip or sample that it collided with, where there is one"),
];

const PREDICTIONS: &[(&str, &str)] = &[
    ("sample_id", "the sample"),
    ("clip_id", "its clip"),
    ("group_id", "its group, the unit of every clustered statistic"),
    ("target", "true label, 0 to 6"),
    ("predicted", "predicted label: the first largest of `logits`"),
    ("logits", "seven scores before they become probabilities, in label order"),
    ("w_face", "weight of the face branch in the fusion; null where the model has none"),
    ("w_context", "weight of the context branch"),
];

/// The page. A column without a meaning says `?`, which a test refuses.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Columns\n\nEvery Parquet table of `ncaers`, generated from the code that writes it. Rows are in id order; a \
         file's metadata holds the schema version, the configuration as JSON, the seed and the digest of the input.\n",
    );
    for (name, row, columns, meanings) in TABLES {
        let _ = write!(
            text,
            "\n## `{name}.parquet`\n\n{row}\n\n| column | type | meaning |\n|---|---|---|\n"
        );
        for column in columns() {
            let meaning = meanings.iter().find(|(name, _)| column.name() == name);
            let meaning = meaning.map_or("?", |(_, meaning)| meaning);
            let _ = writeln!(
                text,
                "| `{}` | {} | {meaning} |",
                column.name(),
                type_name(column.dtype())
            );
        }
    }
    text
}

/// A type as Parquet's readers call it.
fn type_name(of: &DataType) -> String {
    match of {
        DataType::String => "string".into(),
        DataType::Boolean => "bool".into(),
        DataType::Int8 => "int8".into(),
        DataType::Int32 => "int32".into(),
        DataType::Int64 => "int64".into(),
        DataType::UInt64 => "uint64".into(),
        DataType::Float32 => "float32".into(),
        DataType::Float64 => "float64".into(),
        DataType::List(inner) => format!("list of {}", type_name(inner)),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_tables_have() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/columns.md");
        let text = markdown();
        assert!(!text.contains("| ? |"), "a column has no meaning in this file: {text}");
        if std::env::var_os("NCAERS_WRITE_DOCS").is_some() {
            std::fs::write(page, &text).expect("write");
        }
        let there = std::fs::read_to_string(page).unwrap_or_default();
        assert!(there == text, "docs/columns.md is old; NCAERS_WRITE_DOCS=1 writes it anew");
    }
}
