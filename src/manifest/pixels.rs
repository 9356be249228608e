//! `pixels.parquet`: what the decoder gave for every sample, as a digest.
use std::path::Path;

use super::{
    open,
    rows::{text, Checked},
    table, tagged, Error, Meta,
};

/// A row of `pixels.parquet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PixelDigest {
    /// The sample.
    pub sample_id: String,
    /// SHA-256 of its decoded pixels, before any conversion.
    pub pixel_sha256: String,
}

/// Writes `pixels.parquet` into `folder`, rows in sample_id order.
///
/// # Errors
/// When the file cannot be written.
pub fn write_pixels(folder: &Path, rows: &[PixelDigest], meta: &Meta) -> anyhow::Result<()> {
    table::write(&folder.join("pixels.parquet"), rows, columns, &tagged("pixels", meta))
}

pub(super) fn columns(rows: &[PixelDigest]) -> Vec<polars::prelude::Column> {
    vec![
        text("sample_id", rows, |r| Some(&r.sample_id)),
        text("pixel_sha256", rows, |r| Some(&r.pixel_sha256)),
    ]
}

/// Reads `pixels.parquet` of a manifest folder; nothing where there is none.
///
/// # Errors
/// See [`Error`].
pub fn read_pixels(folder: &Path) -> Result<Vec<PixelDigest>, Error> {
    let path = folder.join("pixels.parquet");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let table = open(&path, "pixels")?;
    let (ids, digests) =
        (table.strings(&path, "sample_id")?, table.strings(&path, "pixel_sha256")?);
    type Columns = (usize, (Option<String>, Option<String>));
    let row = |(row, (id, digest)): Columns| -> Result<PixelDigest, Error> {
        let check = Checked { path: &path, row };
        Ok(PixelDigest {
            sample_id: check.present("sample_id", id)?,
            pixel_sha256: check.present("pixel_sha256", digest)?,
        })
    };
    ids.into_iter().zip(digests).enumerate().map(row).collect()
}
