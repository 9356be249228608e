//! The manifest: `samples.parquet`, `clips.parquet`, `ledger.parquet`, `pixels.parquet`, and
//! prediction files, recipes and lists of located stills.
//!
//! Every check happens when a file is opened; what comes out is valid rows. This module alone
//! knows the column names, the schema version and polars. Same rows and metadata, same bytes.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    record::{Clip, LedgerEntry, Prediction, Sample},
    words::Words,
};

pub mod columns;
pub mod dictionary;
mod guard;
mod located;
mod pixels;
mod recipe;
mod rows;
mod table;

pub(crate) use guard::panic_is_answered;
pub use located::{read_located, write_located, LocatedRow, LocatedStatus};
pub use pixels::{read_pixels, write_pixels, PixelDigest};
pub use recipe::{write_differences, DifferenceRow, Recipe, RecipeRow};

/// Version of the tables' columns that is written.
///
/// Version 2 added `damage` and `draw` to the samples, `orientation`, `color_transfer`,
/// `default_stream`, `first_frame`, `end_frame` and `views` to the clips, and files to the ledger's kinds.
pub const SCHEMA_VERSION: &str = "2";

/// Versions that are read; a file of another one is refused. What an older one lacks is as if it had
/// been looked for and not found.
const READ_VERSIONS: [&str; 2] = ["1", SCHEMA_VERSION];

/// The ways in which a manifest or prediction file can be wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder holds no manifest.
    #[error("{} is not a manifest folder{hint}", folder.display())]
    NoManifest {
        /// The folder.
        folder: PathBuf,
        /// What to name instead.
        hint: String,
    },
    /// The file cannot be opened.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not Parquet or is damaged.
    #[error("{} is not a readable Parquet file: {reason}", path.display())]
    NotParquet {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The file was not written by this program.
    #[error("{} carries no ncaers schema version; it is not one of our tables", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is of another schema version.
    #[error("{} has schema version {found}, this program reads {}; rebuild it", path.display(), READ_VERSIONS.join(" and "))]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: String,
    },
    /// The file is another of our tables.
    #[error("{} holds the table `{found}`, not `{wanted}`", path.display())]
    WrongTable {
        /// The file.
        path: PathBuf,
        /// The table found.
        found: String,
        /// The table asked for.
        wanted: &'static str,
    },
    /// A column is absent.
    #[error("{} lacks the column `{column}`", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// A column has another type.
    #[error("column `{column}` of {} is {found}, not {wanted}", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// The type found.
        found: String,
        /// The type the schema asks for.
        wanted: String,
    },
    /// A value is out of its range.
    #[error("row {row} of {}: {reason}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// The row, from 0.
        row: usize,
        /// What is wrong with which value.
        reason: String,
    },
}

/// File metadata: configuration as JSON, seed, input digest and so on, by key. Keys and values
/// are part of the byte promise, so never a path of the machine, a clock or a worker count.
pub type Meta = BTreeMap<String, String>;

/// A data set: its rows in id order, and what made it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// Rows of `samples.parquet`.
    pub samples: Vec<Sample>,
    /// Rows of `clips.parquet`.
    pub clips: Vec<Clip>,
    /// Rows of `ledger.parquet`.
    pub ledger: Vec<LedgerEntry>,
    /// What all three files carry as metadata, beside schema version and table name.
    pub meta: Meta,
}

impl Manifest {
    /// Sorts the rows into id order, the order of the files.
    pub fn sort(&mut self) {
        // Ids are unique, and an unstable sort needs no room beside the rows.
        self.samples.sort_unstable_by(|a, b| a.sample_id.cmp(&b.sample_id));
        self.clips.sort_unstable_by(|a, b| a.clip_id.cmp(&b.clip_id));
        self.ledger.sort_unstable();
    }

    /// Writes the three tables into `folder`; rows must be in id order.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = |name: &str| folder.join(format!("{name}.parquet"));
        let meta = |name: &str| tagged(name, &self.meta);
        write_clips(&path("clips"), &self.clips, &meta("clips"))?;
        table::write(&path("ledger"), &self.ledger, rows::ledger_columns, &meta("ledger"))?;
        table::write(&path("samples"), &self.samples, rows::sample_columns, &meta("samples"))
    }

    /// Reads the manifest in `folder` (or beside `samples.parquet` when a file is named).
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let folder = folder_of(path);
        let file = |name: &str| folder.join(format!("{name}.parquet"));
        let (samples, meta) = read_samples(&file("samples"))?;
        let clips = rows::clips(&file("clips"), &open(&file("clips"), "clips")?)?;
        let ledger = rows::ledger(&file("ledger"), &open(&file("ledger"), "ledger")?)?;
        Ok(Manifest { samples, clips, ledger, meta })
    }
}

/// Writes the tables of a data set of which only the clips are held; `ledger` and `samples` come
/// in order, and no more of them are in memory than a row group.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_tables(
    folder: &Path,
    meta: &Meta,
    clips: &[Clip],
    ledger: impl Iterator<Item = LedgerEntry>,
    samples: impl Iterator<Item = Sample>,
) -> anyhow::Result<()> {
    let path = |name: &str| folder.join(format!("{name}.parquet"));
    let meta = |name: &str| tagged(name, meta);
    write_clips(&path("clips"), clips, &meta("clips"))?;
    table::write_each(&path("ledger"), ledger, rows::ledger_columns, &meta("ledger"))?;
    table::write_each(&path("samples"), samples, rows::sample_columns, &meta("samples"))
}

/// Words of views that go into one row group of clips, about: 16 MB.
const GROUP_WORDS: usize = 1 << 21;

/// Clips, no more views of which are in memory at once than go into a row group.
fn write_clips(path: &Path, clips: &[Clip], meta: &Meta) -> anyhow::Result<()> {
    let mut rest = clips;
    let groups = std::iter::from_fn(|| {
        let mut words = 0;
        let fits = |clip: &&Clip| {
            let first = words == 0;
            words += clip.views.as_ref().map_or(0, Words::count);
            first || words <= GROUP_WORDS
        };
        let (group, others) =
            rest.split_at(rest.iter().take(table::ROW_GROUP).take_while(fits).count());
        rest = others;
        (!group.is_empty()).then(|| group.iter().map(held).collect::<std::io::Result<_>>())
    });
    table::write_groups(path, groups, rows::clip_columns, meta)
}

/// The same clip with its views in memory.
fn held(clip: &Clip) -> std::io::Result<Clip> {
    let views = match &clip.views {
        Some(words) => Some(words.get()?.into_owned().into()),
        None => None,
    };
    let bare = Clip { views: None, ..clip.clone() };
    Ok(Clip { views, ..bare })
}

/// The manifest folder meant by `path`: the folder itself, or the one that holds the named file.
pub fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() || path.extension().is_none() {
        return path.to_owned();
    }
    path.parent().map(Path::to_owned).unwrap_or_default()
}

/// Reads the file `samples.parquet` alone, with its metadata.
///
/// # Errors
/// See [`Error`].
pub fn read_samples(path: &Path) -> Result<(Vec<Sample>, Meta), Error> {
    refuse_elsewhere(path)?;
    let table = open(path, "samples")?;
    Ok((rows::samples(path, &table)?, untagged(table.meta)))
}

/// Refuses a folder without `samples.parquet`, and names the one below it that has it.
fn refuse_elsewhere(samples: &Path) -> Result<(), Error> {
    let folder = samples.parent().unwrap_or(Path::new("."));
    if samples.exists() {
        return Ok(());
    }
    let below = folder.join("manifest");
    let hint = if below.join("samples.parquet").exists() {
        format!("; did you mean {}?", below.display())
    } else if folder.exists() {
        ": it has no samples.parquet".into()
    } else {
        ": nothing is there".into()
    };
    Err(Error::NoManifest { folder: folder.to_owned(), hint })
}

/// SHA-256 of `samples.parquet` in the manifest folder: the identity of the data set.
///
/// # Errors
/// When the file cannot be read.
pub fn digest(folder: &Path) -> anyhow::Result<String> {
    let samples = folder_of(folder).join("samples.parquet");
    refuse_elsewhere(&samples)?;
    crate::digest::sha256_file(&samples)
}

/// Writes a prediction file, rows in sample_id order.
///
/// # Errors
/// When the file cannot be written.
pub fn write_predictions(path: &Path, rows: &[Prediction], meta: &Meta) -> anyhow::Result<()> {
    table::write(path, rows, rows::prediction_columns, &tagged("predictions", meta))
}

/// Reads a prediction file with its metadata.
///
/// # Errors
/// See [`Error`].
pub fn read_predictions(path: &Path) -> Result<(Vec<Prediction>, Meta), Error> {
    let table = open(path, "predictions")?;
    Ok((rows::predictions(path, &table)?, untagged(table.meta)))
}

const VERSION_KEY: &str = "ncaers.schema_version";
const TABLE_KEY: &str = "ncaers.table";
const PROGRAM_KEY: &str = "ncaers.program_version";

fn tagged(name: &str, meta: &Meta) -> Meta {
    let mut all = meta.clone();
    all.insert(VERSION_KEY.into(), SCHEMA_VERSION.into());
    all.insert(TABLE_KEY.into(), name.into());
    all.insert(PROGRAM_KEY.into(), env!("CARGO_PKG_VERSION").into());
    all
}

fn untagged(mut meta: Meta) -> Meta {
    meta.retain(|key, _| ![VERSION_KEY, TABLE_KEY, PROGRAM_KEY, "ARROW:schema"].contains(&&**key));
    meta
}

fn open(path: &Path, wanted: &'static str) -> Result<table::ParquetTable, Error> {
    checked(path, table::read(path)?, wanted)
}

/// The table if it is the one that is wanted, of a version that is read.
fn checked(
    path: &Path,
    table: table::ParquetTable,
    wanted: &'static str,
) -> Result<table::ParquetTable, Error> {
    let version = table.meta.get(VERSION_KEY);
    let version = version.ok_or_else(|| Error::Foreign { path: path.to_owned() })?;
    if !READ_VERSIONS.contains(&version.as_str()) {
        return Err(Error::Version { path: path.to_owned(), found: version.clone() });
    }
    let found = table.meta.get(TABLE_KEY).cloned().unwrap_or_default();
    if found != wanted {
        return Err(Error::WrongTable { path: path.to_owned(), found, wanted });
    }
    Ok(table)
}

/// The configuration that metadata carries under `configuration`, as JSON.
///
/// # Errors
/// When it is absent or not JSON.
pub fn configuration(meta: &Meta) -> anyhow::Result<serde_json::Value> {
    let text = meta.get("configuration").context("the manifest carries no configuration")?;
    serde_json::from_str(text).context("the manifest's configuration is not JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ClipStatus, Damage, Emotion, FaceBox, LedgerKind, Segment, Split};

    fn sample() -> Sample {
        Sample {
            sample_id: "train/Anger/0001/000".into(),
            split: Split::Train,
            emotion: Emotion::Anger,
            clip_id: "train/Anger/0001".into(),
            group_id: "train/Anger/0001".into(),
            segment: Some(Segment { index: 0, start_frame: 0, end_frame: 48 }),
            frame_index: Some(17),
            frame_ms: Some(709.0),
            image_path: "images/train/Anger/0001_000.jpg".into(),
            image_sha256: "00".into(),
            width: 720,
            height: 480,
            face: Some(FaceBox { x1: 1, y1: 2, x2: 30, y2: 40, score: 0.5 }),
            face_count: Some(1),
            detector: "seeta".into(),
            damage: Damage::Concealed,
            draw: Some(2),
        }
    }

    fn clip() -> Clip {
        Clip {
            clip_id: "train/Anger/0001".into(),
            path: "train/Anger/0001.avi".into(),
            sha256: Some("ab".into()),
            split: Split::Train,
            emotion: Emotion::Anger,
            codec: Some("mpeg4".into()),
            pixel_format: Some("yuv420p".into()),
            width: Some(720),
            height: Some(480),
            sample_aspect_ratio: None,
            rotation: Some(0),
            color_matrix: Some("bt601".into()),
            color_range: Some("limited".into()),
            interlaced: Some(false),
            fps: Some(23.976),
            frames_decoded: Some(48),
            frames_header: None,
            duration_ms: Some(2002.0),
            has_b_frames: Some(true),
            status: ClipStatus::Partial,
            reason: Some("truncated".into()),
            group_id: "train/Anger/0001".into(),
            signature: Some(vec![1, u64::MAX]),
            orientation: Some(6),
            color_transfer: Some("smpte2084".into()),
            default_stream: Some(true),
            first_frame: Some(10),
            end_frame: Some(58),
            views: Some(vec![u64::MAX, 0, 1].into()),
        }
    }

    fn manifest() -> Manifest {
        let still = Sample {
            face: None,
            segment: None,
            frame_index: None,
            frame_ms: None,
            draw: None,
            ..sample()
        };
        Manifest {
            samples: vec![sample(), Sample { sample_id: "z".into(), ..still }],
            clips: vec![
                clip(),
                Clip { clip_id: "z".into(), signature: None, views: None, ..clip() },
            ],
            ledger: vec![LedgerEntry {
                kind: LedgerKind::Clip,
                id: "x".into(),
                reason: "unreadable".into(),
                detail: "no video".into(),
                partner_id: None,
            }],
            meta: Meta::from([("seed".into(), "1".into())]),
        }
    }

    #[test]
    fn rows_come_back_and_bytes_repeat() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        manifest().write(&a).expect("write");
        let back = Manifest::read(&a).expect("read");
        assert_eq!(back, manifest());
        back.write(&b).expect("write");
        assert_eq!(digest(&a).expect("digest"), digest(&b).expect("digest"));
    }

    /// As the program wrote them before there were the newer columns.
    #[test]
    fn tables_of_version_1_are_read() {
        let dir = tempfile::tempdir().expect("temp dir");
        let old = |name: &str| {
            let mut meta = tagged(name, &manifest().meta);
            meta.insert(VERSION_KEY.into(), "1".into());
            (dir.path().join(format!("{name}.parquet")), meta)
        };
        let samples = |rows: &[Sample]| rows::sample_columns(rows).into_iter().take(22).collect();
        let clips = |rows: &[Clip]| rows::clip_columns(rows).into_iter().take(23).collect();
        let ((path, meta), now) = (old("samples"), manifest());
        table::write(&path, &now.samples, samples, &meta).expect("write");
        let (path, meta) = old("clips");
        table::write(&path, &now.clips, clips, &meta).expect("write");
        let (path, meta) = old("ledger");
        table::write(&path, &now.ledger, rows::ledger_columns, &meta).expect("write");
        let back = Manifest::read(dir.path()).expect("read");
        assert_eq!((back.ledger, back.meta), (now.ledger, now.meta));
        assert_eq!([back.samples[0].draw, back.samples[1].draw], [Some(0), None]);
        assert_eq!(back.samples[0].damage, Damage::None);
        let plain = Clip {
            orientation: None,
            color_transfer: None,
            default_stream: None,
            first_frame: None,
            end_frame: None,
            views: None,
            ..clip()
        };
        assert_eq!(back.clips[0], plain);
    }

    #[test]
    fn empty_tables_come_back() {
        let dir = tempfile::tempdir().expect("temp dir");
        Manifest::default().write(dir.path()).expect("write");
        assert_eq!(Manifest::read(dir.path()).expect("read"), Manifest::default());
    }

    #[test]
    fn predictions_come_back() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("predictions-test.parquet");
        let row = Prediction {
            sample_id: "a".into(),
            clip_id: "b".into(),
            group_id: "c".into(),
            target: 6,
            predicted: 0,
            logits: [0.5, 1.0, -2.0, 0.0, 0.0, 0.0, 9.0],
            w_face: Some(0.25),
            w_context: None,
        };
        write_predictions(&path, std::slice::from_ref(&row), &Meta::new()).expect("write");
        assert_eq!(read_predictions(&path).expect("read").0, vec![row]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("samples.parquet");
        let read = || read_samples(&path).expect_err("must be refused").to_string();
        assert!(read().contains("is not a manifest folder"));
        std::fs::write(&path, "PAR1 not really").expect("write");
        assert!(read().contains("not a readable Parquet file"));
        table::write(&path, &[sample()], rows::sample_columns, &Meta::new()).expect("write");
        assert!(read().contains("no ncaers schema version"));
        let old = Meta::from([(VERSION_KEY.into(), "0".into())]);
        table::write(&path, &[sample()], rows::sample_columns, &old).expect("write");
        assert!(read().contains("schema version 0"));
        let meta = tagged("clips", &Meta::new());
        table::write(&path, &[sample()], rows::sample_columns, &meta).expect("write");
        assert!(read().contains("holds the table `clips`"));
        let unlabelled = |rows: &[Sample]| {
            let mut columns = rows::sample_columns(rows);
            assert_eq!(columns.remove(3).name(), "label");
            columns
        };
        let meta = tagged("samples", &Meta::new());
        table::write(&path, &[sample()], unlabelled, &meta).expect("write");
        assert!(read().contains("lacks the column `label`"));
    }
}
