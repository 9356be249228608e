//! Parquet in and out through polars: one table per file, fixed column order, metadata as
//! key-value pairs. Nothing outside `manifest` knows polars.
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Cursor, Write},
    path::Path,
};

use polars::prelude::*;
use polars_io::parquet::{
    read::ParquetReader,
    write::{KeyValueMetadata, ParquetCompression, ParquetWriter, StatisticsOptions},
};
use polars_io::{mmap::MmapBytesReader, SerReader};

use super::{
    guard::{guarded, is_even, DAMAGED},
    Error,
};

/// Rows per row group; fixed, since it is part of the byte promise.
pub(super) const ROW_GROUP: usize = 1 << 16;

/// A table with its file metadata.
pub(super) struct ParquetTable {
    pub frame: DataFrame,
    pub meta: BTreeMap<String, String>,
}

/// Writes rows, a row group at a time so that never all columns are in memory at once; `columns`
/// makes the columns of some rows, in order. The bytes depend on nothing but the arguments.
pub(super) fn write<T>(
    path: &Path,
    rows: &[T],
    columns: impl Fn(&[T]) -> Vec<Column>,
    meta: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let frame = |rows: &[T]| DataFrame::new(rows.len(), columns(rows));
    write_frames(path, frame(&[])?, rows.chunks(ROW_GROUP).map(frame), meta)
}

/// The same of rows that are made one after the other.
pub(super) fn write_each<T>(
    path: &Path,
    mut rows: impl Iterator<Item = T>,
    columns: impl Fn(&[T]) -> Vec<Column>,
    meta: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let frame = |rows: &[T]| DataFrame::new(rows.len(), columns(rows));
    let mut group = Vec::new();
    let groups = std::iter::from_fn(|| {
        group.clear();
        group.extend(rows.by_ref().take(ROW_GROUP));
        (!group.is_empty()).then(|| frame(&group))
    });
    write_frames(path, frame(&[])?, groups, meta)
}

/// The same of rows that come a row group at a time.
pub(super) fn write_groups<T>(
    path: &Path,
    groups: impl Iterator<Item = std::io::Result<Vec<T>>>,
    columns: impl Fn(&[T]) -> Vec<Column>,
    meta: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let frame = |rows: &[T]| DataFrame::new(rows.len(), columns(rows));
    let groups = groups.map(|rows| frame(&rows?));
    write_frames(path, frame(&[])?, groups, meta)
}

/// Writes row groups; `empty` has their columns.
fn write_frames(
    path: &Path,
    empty: DataFrame,
    groups: impl Iterator<Item = PolarsResult<DataFrame>>,
    meta: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    crate::atomic::write_with(path, |out| fill(out, empty, groups, meta))
}

fn fill(
    out: impl Write,
    empty: DataFrame,
    groups: impl Iterator<Item = PolarsResult<DataFrame>>,
    meta: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let pairs = meta.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    let mut writer = ParquetWriter::new(out)
        .with_compression(ParquetCompression::Zstd(None))
        .with_statistics(StatisticsOptions::default())
        .set_parallel(false)
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(pairs)))
        .batched(empty.schema())?;
    for group in groups {
        writer.write_batch(&group?)?;
    }
    writer.finish()?;
    Ok(())
}

/// The bytes that [`write`] puts into a file.
pub(super) fn bytes<T>(
    rows: &[T],
    columns: impl Fn(&[T]) -> Vec<Column>,
    meta: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<u8>> {
    let frame = |rows: &[T]| DataFrame::new(rows.len(), columns(rows));
    let mut out = Vec::new();
    fill(&mut out, frame(&[])?, rows.chunks(ROW_GROUP).map(frame), meta)?;
    Ok(out)
}

/// Reads a whole file with its metadata.
pub(super) fn read(path: &Path) -> Result<ParquetTable, Error> {
    let file =
        File::open(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    parse(path, file)
}

/// Reads a table from what [`bytes`] gave; `path` is the file that errors name.
pub(super) fn read_bytes(path: &Path, bytes: Vec<u8>) -> Result<ParquetTable, Error> {
    parse(path, Cursor::new(bytes))
}

fn parse<R: MmapBytesReader>(path: &Path, file: R) -> Result<ParquetTable, Error> {
    let broken = |e: PolarsError| Error::NotParquet {
        path: path.to_owned(),
        reason: e.to_string().lines().next().unwrap_or_default().to_owned(),
    };
    let read = move || {
        let mut reader = ParquetReader::new(file);
        let meta = reader
            .get_metadata()?
            .key_value_metadata()
            .iter()
            .flatten()
            .filter_map(|kv| Some((kv.key.clone(), kv.value.clone()?)))
            .collect();
        Ok(ParquetTable { frame: reader.finish()?, meta })
    };
    let read = guarded(read).transpose().map_err(broken)?;
    let damaged = || Error::NotParquet { path: path.to_owned(), reason: DAMAGED.into() };
    read.filter(|table: &ParquetTable| is_even(&table.frame)).ok_or_else(damaged)
}

impl ParquetTable {
    fn column(&self, path: &Path, name: &'static str, want: &DataType) -> Result<&Column, Error> {
        let missing = || Error::MissingColumn { path: path.to_owned(), column: name };
        let column = self.frame.column(name).map_err(|_| missing())?;
        if column.dtype() != want {
            return Err(Error::WrongType {
                path: path.to_owned(),
                column: name,
                found: column.dtype().to_string(),
                wanted: want.to_string(),
            });
        }
        Ok(column)
    }
}

macro_rules! readers {
    ($($name:ident, $dtype:expr, $method:ident, $t:ty, $get:expr;)*) => {
        impl ParquetTable {
            $(
                /// The values of a column, `None` where null.
                pub fn $name(&self, path: &Path, name: &'static str) -> Result<Vec<Option<$t>>, Error> {
                    let column = self.column(path, name, &$dtype)?;
                    let values = column.$method().map_err(|_| Error::MissingColumn { path: path.to_owned(), column: name })?;
                    Ok(values.iter().map($get).collect())
                }
            )*
        }
    };
}
readers! {
    strings, DataType::String, str, String, |v| v.map(str::to_owned);
    bools, DataType::Boolean, bool, bool, |v| v;
    i8s, DataType::Int8, i8, i8, |v| v;
    i32s, DataType::Int32, i32, i32, |v| v;
    i64s, DataType::Int64, i64, i64, |v| v;
    f32s, DataType::Float32, f32, f32, |v| v;
    f64s, DataType::Float64, f64, f64, |v| v;
}

impl ParquetTable {
    /// A column that tables of version 1 lack, read by `read`; `None` for those.
    pub fn since_2<T>(
        &self,
        path: &Path,
        name: &'static str,
        read: fn(&ParquetTable, &Path, &'static str) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let is_old = self.meta.get(super::VERSION_KEY).is_some_and(|version| version == "1");
        (!is_old).then(|| read(self, path, name)).transpose()
    }

    /// A list-of-u64 column.
    pub fn u64_lists(
        &self,
        path: &Path,
        name: &'static str,
    ) -> Result<Vec<Option<Vec<u64>>>, Error> {
        self.lists(path, name, DataType::UInt64, |s| {
            s.u64().map(|v| v.iter().flatten().collect()).ok()
        })
    }

    /// A list-of-f32 column.
    pub fn f32_lists(
        &self,
        path: &Path,
        name: &'static str,
    ) -> Result<Vec<Option<Vec<f32>>>, Error> {
        self.lists(path, name, DataType::Float32, |s| {
            s.f32().map(|v| v.iter().flatten().collect()).ok()
        })
    }

    fn lists<T>(
        &self,
        path: &Path,
        name: &'static str,
        inner: DataType,
        values: impl Fn(&Series) -> Option<Vec<T>>,
    ) -> Result<Vec<Option<Vec<T>>>, Error> {
        let column = self.column(path, name, &DataType::List(Box::new(inner)))?;
        let lists = column
            .list()
            .map_err(|_| Error::MissingColumn { path: path.to_owned(), column: name })?;
        Ok((0..lists.len()).map(|i| lists.get_as_series(i).and_then(|s| values(&s))).collect())
    }
}

/// A column of hex digits as one of bytes; `None` where it holds something else.
pub(super) fn packed(column: &Column) -> Option<Column> {
    let texts = column.str().ok()?;
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let bytes = |text: &str| -> Option<Vec<u8>> {
        let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        let is_whole = text.len().is_multiple_of(2) && text.bytes().all(is_digit);
        digits.map(|pair| u8::from_str_radix(pair?, 16).ok().filter(|_| is_whole)).collect()
    };
    let rows = texts.iter().map(|text| text.map_or(Some(None), |text| bytes(text).map(Some)));
    let rows = rows.collect::<Option<Vec<Option<Vec<u8>>>>>()?;
    Some(BinaryChunked::from_iter_options(column.name().clone(), rows.into_iter()).into_column())
}

impl ParquetTable {
    /// Columns of bytes as hex digits; others stay as they are.
    pub fn unpack(&mut self, names: &[&str]) {
        for name in names {
            let Ok(column) = self.frame.column(name) else { continue };
            let Ok(bytes) = column.binary() else { continue };
            let rows: Vec<Option<String>> =
                bytes.iter().map(|bytes| bytes.map(crate::digest::hex)).collect();
            let texts = Series::new(column.name().clone(), rows).into_column();
            // A column of the same name and length is always taken.
            let _ = self.frame.with_column(texts);
        }
    }
}

/// A column of plain values, null where `None`.
pub(super) fn column<T, S>(name: &str, values: Vec<T>) -> Column
where
    S: AsRef<[T]> + From<Vec<T>>,
    Series: NamedFrom<S, [T]>,
{
    Series::new(name.into(), S::from(values)).into()
}

/// A column of u64 lists.
pub(super) fn u64_list_column(name: &str, rows: &[Option<&[u64]>]) -> Column {
    let total = rows.iter().flatten().map(|row| row.len()).sum();
    let mut builder = ListPrimitiveChunkedBuilder::<UInt64Type>::new(
        name.into(),
        rows.len(),
        total,
        DataType::UInt64,
    );
    for row in rows {
        builder.append_opt_slice(*row);
    }
    builder.finish().into_series().into()
}

/// A column of f32 lists.
pub(super) fn f32_list_column<const N: usize>(name: &str, rows: &[[f32; N]]) -> Column {
    let mut builder = ListPrimitiveChunkedBuilder::<Float32Type>::new(
        name.into(),
        rows.len(),
        rows.len() * N,
        DataType::Float32,
    );
    for row in rows {
        builder.append_slice(row);
    }
    builder.finish().into_series().into()
}
