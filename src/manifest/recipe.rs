//! A data set without a pixel: the samples with the clips that they come from, by digest.
//!
//! One Parquet file: the columns of `samples.parquet`, then where the frame comes from; digests are
//! bytes, half as long as in hex. The tables of clips and of what was left out travel in the file's
//! metadata, so that a rebuild gives them back.
use std::path::Path;

use base64::prelude::{Engine as _, BASE64_STANDARD};

use super::{
    checked, rows,
    rows::{text, Checked},
    table, tagged, untagged, Error, Meta,
};
use crate::record::{Clip, LedgerEntry, Sample};

/// A sample and its frame's origin.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipeRow {
    /// The row of `samples.parquet`; no digest of the picture where nobody promises its bytes.
    pub sample: Sample,
    /// The clip's file, below its corpus.
    pub clip_path: String,
    /// SHA-256 of the clip's file.
    pub clip_sha256: String,
    /// SHA-256 of the decoded pixels; `None` where the manifest is too old to tell.
    pub pixel_sha256: Option<String>,
}

/// A data set without pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recipe {
    /// In sample_id order.
    pub rows: Vec<RecipeRow>,
    /// The rows of `clips.parquet`; empty where they are not known.
    pub clips: Vec<Clip>,
    /// The rows of `ledger.parquet`.
    pub ledger: Vec<LedgerEntry>,
    /// The manifest's metadata, and the decoder's version.
    pub meta: Meta,
}

/// Keys under which the other two tables travel.
const CLIPS_KEY: &str = "ncaers.clips";
const LEDGER_KEY: &str = "ncaers.ledger";
/// Columns that hold digests.
const DIGESTS: [&str; 3] = ["image_sha256", "clip_sha256", "pixel_sha256"];

impl Recipe {
    /// Writes the recipe as Parquet.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut meta = tagged("recipe", &self.meta);
        let clips = table::bytes(&self.clips, rows::clip_columns, &tagged("clips", &Meta::new()))?;
        let ledger =
            table::bytes(&self.ledger, rows::ledger_columns, &tagged("ledger", &Meta::new()))?;
        meta.insert(CLIPS_KEY.into(), BASE64_STANDARD.encode(clips));
        meta.insert(LEDGER_KEY.into(), BASE64_STANDARD.encode(ledger));
        table::write(path, &self.rows, columns, &meta)
    }

    /// Reads a recipe in Parquet.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut table = super::open(path, "recipe")?;
        let inner = |key: &str, wanted| -> Result<Option<table::ParquetTable>, Error> {
            let Some(text) = table.meta.get(key) else { return Ok(None) };
            let bytes = BASE64_STANDARD.decode(text).map_err(|_| Error::NotParquet {
                path: path.to_owned(),
                reason: format!("its `{key}` is damaged"),
            })?;
            checked(path, table::read_bytes(path, bytes)?, wanted).map(Some)
        };
        let clips = inner(CLIPS_KEY, "clips")?.map(|t| rows::clips(path, &t)).transpose()?;
        let ledger = inner(LEDGER_KEY, "ledger")?.map(|t| rows::ledger(path, &t)).transpose()?;
        let recipe_rows = read_rows(path, &mut table)?;
        let mut meta = untagged(table.meta);
        meta.retain(|key, _| ![CLIPS_KEY, LEDGER_KEY].contains(&&**key));
        Ok(Recipe {
            rows: recipe_rows,
            clips: clips.unwrap_or_default(),
            ledger: ledger.unwrap_or_default(),
            meta,
        })
    }
}

fn columns(rows: &[RecipeRow]) -> Vec<polars::prelude::Column> {
    let samples: Vec<Sample> = rows.iter().map(|r| r.sample.clone()).collect();
    let mut columns = rows::sample_columns(&samples);
    columns.push(text("clip_path", rows, |r| Some(&r.clip_path)));
    columns.push(text("clip_sha256", rows, |r| Some(&r.clip_sha256)));
    columns.push(text("pixel_sha256", rows, |r| r.pixel_sha256.as_deref()));
    let packed = |column: polars::prelude::Column| {
        let is_digest = DIGESTS.contains(&column.name().as_str());
        is_digest.then(|| table::packed(&column)).flatten().unwrap_or(column)
    };
    columns.into_iter().map(packed).collect()
}

fn read_rows(path: &Path, table: &mut table::ParquetTable) -> Result<Vec<RecipeRow>, Error> {
    table.unpack(&DIGESTS);
    let samples = rows::samples(path, table)?;
    let texts = |name| table.strings(path, name);
    let (paths, digests) = (texts("clip_path")?, texts("clip_sha256")?);
    let pixels = texts("pixel_sha256")?;
    let row = |(row, sample): (usize, Sample)| -> Result<RecipeRow, Error> {
        let check = Checked { path, row };
        Ok(RecipeRow {
            sample,
            clip_path: check.present("clip_path", paths[row].clone())?,
            clip_sha256: check.present("clip_sha256", digests[row].clone())?,
            pixel_sha256: pixels[row].clone(),
        })
    };
    samples.into_iter().enumerate().map(row).collect()
}

/// One thing in which two data sets differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DifferenceRow {
    /// The sample.
    pub sample_id: String,
    /// `added`, `removed`, `split`, `label`, `frame`, `box`, `pixels`, `bytes`, `group`.
    pub difference: &'static str,
    /// In the first.
    pub before: Option<String>,
    /// In the second.
    pub after: Option<String>,
}

/// Writes differences to `path`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_differences(path: &Path, rows: &[DifferenceRow]) -> anyhow::Result<()> {
    table::write(path, rows, difference_columns, &tagged("differences", &Meta::new()))
}

pub(super) fn difference_columns(rows: &[DifferenceRow]) -> Vec<polars::prelude::Column> {
    vec![
        text("sample_id", rows, |r| Some(&r.sample_id)),
        text("difference", rows, |r| Some(r.difference)),
        text("before", rows, |r| r.before.as_deref()),
        text("after", rows, |r| r.after.as_deref()),
    ]
}
