//! The stills: listed, read once, and kept as hashes and cells where workers find them.
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    index::{cells_of, CELL_BYTES},
    CELLS, STILLS,
};
use crate::{
    corpus,
    dataset::lines::Lines,
    digest,
    folder::OutputFolder,
    manifest::{self, Manifest},
    media::{image as picture, preview},
    progress::Progress,
    record::{Emotion, Split},
    similarity::hash::{self, Thumbnail, UNINFORMATIVE},
};

/// Stills that are read before their cells are written.
const BATCH: usize = 1024;

/// A still that is sought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Still {
    /// Below the folder of stills, for people and tables.
    pub shown: String,
    /// The file.
    pub path: OsString,
    pub split: Option<Split>,
    pub label: Option<Emotion>,
    /// Its hash, where it could be read.
    #[serde(default)]
    pub hash: u64,
    #[serde(default)]
    pub size: Option<(u32, u32)>,
    /// `png` or `jpeg`.
    #[serde(default)]
    pub codec: Option<String>,
    /// Why it could not be read.
    #[serde(default)]
    pub fault: Option<String>,
}

/// Stills that were found on disk, not yet read.
pub(super) struct Listed(Vec<Still>);

impl Listed {
    /// Of their names and sizes.
    pub fn digest(&self) -> String {
        let line = |still: &Still| {
            let size = fs::metadata(&still.path).map_or(0, |m| m.len());
            let split = still.split.map_or("", Split::name);
            let label = still.label.map_or("", Emotion::name);
            format!("{}\t{split}\t{label}\t{size}\n", still.shown)
        };
        let text: String = self.0.iter().map(line).collect();
        digest::sha256_hex(text.as_bytes())
    }
}

/// The pictures of a manifest, or those below a folder at any depth with the split and the class that
/// their folders name. Folders behind links are not entered.
///
/// # Errors
/// When `root` is neither or holds no picture.
pub(super) fn list(root: &Path) -> Result<Listed> {
    ensure!(root.exists(), "no stills at {}", root.display());
    let folder = manifest::folder_of(root);
    let mut stills = if folder.join("samples.parquet").is_file() {
        of_manifest(&folder)?
    } else {
        ensure!(root.is_dir(), "{} is neither a folder nor a manifest", root.display());
        of_folder(root)?
    };
    stills.sort_by(|a, b| a.shown.cmp(&b.shown));
    ensure!(!stills.is_empty(), "no picture below {}", root.display());
    Ok(Listed(stills))
}

fn of_manifest(folder: &Path) -> Result<Vec<Still>> {
    let data = Manifest::read(folder)?;
    let still = |s: &crate::record::Sample| -> Result<Still> {
        let path = crate::folder::below(folder, &s.image_path)?;
        Ok(Still {
            split: Some(s.split),
            label: Some(s.emotion),
            ..unread(s.image_path.clone(), &path)?
        })
    };
    data.samples.iter().map(still).collect()
}

fn of_folder(root: &Path) -> Result<Vec<Still>> {
    let still = |path: PathBuf| -> Result<Still> {
        let folders = path.parent().into_iter().flat_map(Path::components);
        let parts: Vec<String> =
            folders.map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
        Ok(Still {
            split: parts.iter().find_map(|part| part.parse().ok()),
            label: parts.iter().rev().find_map(|part| part.parse().ok()),
            ..unread(corpus::shown_path(&path), &root.join(&path))?
        })
    };
    corpus::below(root, corpus::Sought::Stills)?.into_iter().map(still).collect()
}

fn unread(shown: String, path: &Path) -> Result<Still> {
    let path = std::path::absolute(path).with_context(|| format!("cannot resolve {shown}"))?;
    Ok(Still {
        shown,
        path: path.into_os_string(),
        split: None,
        label: None,
        hash: UNINFORMATIVE,
        size: None,
        codec: None,
        fault: None,
    })
}

/// The stills of a run.
pub(super) struct Stills {
    /// In order of their names.
    pub all: Vec<Still>,
}

impl Stills {
    /// Reads every still once; what another run in the folder read is not read again.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn read(listed: &Listed, out: &OutputFolder) -> Result<Self> {
        let (cells, list) = (out.path().join(CELLS), out.path().join(STILLS));
        let wanted = (listed.0.len() * CELL_BYTES) as u64;
        if fs::metadata(&cells).is_ok_and(|m| m.len() == wanted) {
            let all = kept(&list).unwrap_or_default();
            let same = |(a, b): (&Still, &Still)| a.shown == b.shown;
            if all.len() == listed.0.len() && all.iter().zip(&listed.0).all(same) {
                return Ok(Stills { all });
            }
        }
        let progress = Progress::new("locate", "stills", listed.0.len() as u64);
        let mut all = Vec::with_capacity(listed.0.len());
        out.write_with(CELLS, |file| {
            for batch in listed.0.chunks(BATCH) {
                let read: Vec<(Still, Vec<u8>)> = batch
                    .par_iter()
                    .map(|still| {
                        let read = still.clone().read();
                        progress.advance(1);
                        read
                    })
                    .collect();
                for (still, cells) in read {
                    std::io::Write::write_all(file, &cells)?;
                    all.push(still);
                }
            }
            Ok(())
        })?;
        progress.finish();
        let lines = all.iter().map(|s| Ok(serde_json::to_string(s)? + "\n"));
        let text = lines.collect::<Result<String>>()?;
        out.write(STILLS, text.as_bytes())?;
        Ok(Stills { all })
    }
}

/// The stills of a file that [`Stills::read`] wrote.
///
/// # Errors
/// When it cannot be read.
pub(super) fn kept(path: &Path) -> Result<Vec<Still>> {
    let mut all = Vec::new();
    Lines::read(path, |still: Still| all.push(still))?;
    Ok(all)
}

impl Still {
    /// Reads the picture for its hash and its cells, which are all 0 where it cannot be read.
    fn read(mut self) -> (Self, Vec<u8>) {
        let blank = vec![0; CELL_BYTES];
        match self.rgb() {
            Err(error) => {
                self.fault = Some(format!("{error:#}"));
                (self, blank)
            }
            Ok((rgb, codec)) => {
                let (width, height) = rgb.dimensions();
                self.size = Some((width, height));
                self.codec = Some(codec.to_owned());
                let luma = hash::luma(rgb.as_raw());
                match Thumbnail::of_pixels(&luma, width as usize, height as usize) {
                    None => (self, blank),
                    Some(thumbnail) => {
                        let (hash, cells) = cells_of(&thumbnail);
                        self.hash = hash;
                        (self, cells.to_vec())
                    }
                }
            }
        }
    }

    /// The picture's pixels, and its format.
    ///
    /// # Errors
    /// When it cannot be read or is neither PNG nor JPEG.
    pub fn rgb(&self) -> Result<(image::RgbImage, &'static str)> {
        let bytes = fs::read(&self.path).context("cannot be read")?;
        let codec = match image::guess_format(&bytes) {
            Ok(image::ImageFormat::Png) => "png",
            Ok(image::ImageFormat::Jpeg) => "jpeg",
            _ => anyhow::bail!("neither PNG nor JPEG"),
        };
        let fast = if codec == "jpeg" { preview::decode(&bytes).ok() } else { None };
        let rgb = fast.map_or_else(|| picture::decode_rgb(&bytes), Ok)?;
        Ok((rgb, codec))
    }
}
