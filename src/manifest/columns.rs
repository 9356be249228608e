//! Columns of any Parquet file, whoever wrote it: pandas, polars, pyarrow, Hugging Face.
use std::{fs::File, path::Path, sync::Arc};

use anyhow::{bail, Context, Result};
use polars::prelude::{ArrowDataType, Column, DataType, Series};
use polars_io::{parquet::read::ParquetReader, SerReader};

use super::guard::{guarded, is_even, DAMAGED};

/// The values of a column, `None` where null.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Words.
    Text(Vec<Option<String>>),
    /// Whole numbers; booleans are 0 and 1.
    Integer(Vec<Option<i64>>),
    /// Numbers.
    Number(Vec<Option<f64>>),
    /// Lists of numbers, NaN where a part is null.
    Lists(Vec<Option<Vec<f64>>>),
}

impl Values {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Values::Text(v) => v.len(),
            Values::Integer(v) => v.len(),
            Values::Number(v) => v.len(),
            Values::Lists(v) => v.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Names of the columns in their order.
///
/// # Errors
/// When the file cannot be read or is no Parquet file.
pub fn names(path: &Path) -> Result<Vec<String>> {
    answered(path, || {
        let mut reader = reader(path)?;
        let schema = reader.schema().with_context(|| broken(path))?;
        Ok(schema.iter_names().map(|name| name.to_string()).collect())
    })
}

/// The columns `wanted`, in that order.
///
/// # Errors
/// When one is missing or holds something else than words, numbers and lists of numbers; the
/// message says how to write it instead.
pub fn read(path: &Path, wanted: &[String]) -> Result<Vec<Values>> {
    answered(path, || values_of(path, wanted))
}

fn values_of(path: &Path, wanted: &[String]) -> Result<Vec<Values>> {
    let mut reader = reader(path)?;
    let schema = reader.schema().with_context(|| broken(path))?;
    for name in wanted {
        let field = schema.get(name.as_str());
        let field = field.with_context(|| format!("{} has no column `{name}`", path.display()))?;
        readable(&field.dtype)
            .map_err(|kind| anyhow::anyhow!("{kind}"))
            .with_context(|| format!("{}: cannot read column `{name}`", path.display()))?;
    }
    let frame =
        reader.with_columns(Some(wanted.to_vec())).finish().with_context(|| broken(path))?;
    if !is_even(&frame) {
        return Err(anyhow::anyhow!("{DAMAGED}").context(broken(path)));
    }
    let values = |name: &String| {
        let column = frame.column(name).with_context(|| broken(path))?;
        values(column).with_context(|| format!("{}: cannot read column `{name}`", path.display()))
    };
    wanted.iter().map(values).collect()
}

/// A value that a program wrote into the file's metadata, such as `ncaers.table`.
///
/// # Errors
/// When the file cannot be read or is no Parquet file.
pub fn metadata(path: &Path, key: &str) -> Result<Option<String>> {
    answered(path, || {
        let mut reader = ParquetReader::new(open(path)?);
        let metadata = reader.get_metadata().with_context(|| broken(path))?;
        let pairs = metadata.key_value_metadata().iter().flatten();
        Ok(pairs.filter(|pair| pair.key == key).find_map(|pair| pair.value.clone()))
    })
}

/// What `read` gives, or an error where the reader panicked.
fn answered<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    guarded(read).unwrap_or_else(|| Err(anyhow::anyhow!("{DAMAGED}").context(broken(path))))
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

fn broken(path: &Path) -> String {
    format!("{} is no Parquet file that can be read", path.display())
}

/// A reader that takes the types from Parquet itself and not from what Arrow noted beside them:
/// categories are then plain words, fixed-size lists plain lists.
fn reader(path: &Path) -> Result<ParquetReader<File>> {
    let mut reader = ParquetReader::new(open(path)?);
    let metadata = reader.get_metadata().with_context(|| broken(path))?;
    let mut plain = (**metadata).clone();
    plain.key_value_metadata = None;
    reader.set_metadata(Arc::new(plain));
    Ok(reader)
}

/// Refuses types that polars is not built for, before it meets them.
fn readable(kind: &ArrowDataType) -> std::result::Result<(), String> {
    use ArrowDataType as T;
    match kind {
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Boolean | T::Null => Ok(()),
        T::Int8 | T::Int32 | T::Int64 | T::UInt32 | T::UInt64 | T::Float32 | T::Float64 => Ok(()),
        T::Int16 | T::UInt8 | T::UInt16 => {
            Err(format!("it is {kind:?}; write it as int64 (pandas: astype(\"int64\"))"))
        }
        T::List(inner) | T::LargeList(inner) => readable(&inner.dtype),
        other => Err(format!("it is {other:?}; write words, numbers or lists of numbers")),
    }
}

fn values(column: &Column) -> Result<Values> {
    let series = column.as_materialized_series();
    Ok(match column.dtype() {
        DataType::String => {
            Values::Text(series.str()?.iter().map(|v| v.map(str::to_owned)).collect())
        }
        DataType::Float32 | DataType::Float64 => {
            let numbers = series.cast(&DataType::Float64)?;
            Values::Number(numbers.f64()?.iter().collect())
        }
        DataType::List(_) => Values::Lists(lists(series)?),
        DataType::Null => Values::Text(vec![None; series.len()]),
        kind if kind.is_integer() || kind.is_bool() => {
            let numbers = series.cast(&DataType::Int64)?;
            Values::Integer(numbers.i64()?.iter().collect())
        }
        other => bail!("it is {other}; write words, numbers or lists of numbers"),
    })
}

fn lists(series: &Series) -> Result<Vec<Option<Vec<f64>>>> {
    let lists = series.list()?;
    let one = |i: usize| {
        let Some(list) = lists.get_as_series(i) else { return Ok(None) };
        let numbers = list.cast(&DataType::Float64)?;
        Ok(Some(numbers.f64()?.iter().map(|x| x.unwrap_or(f64::NAN)).collect()))
    };
    (0..lists.len()).map(one).collect()
}
