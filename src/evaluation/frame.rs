//! A table of anybody's: CSV, JSON lines or Parquet, told apart by content and not by name.
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::Value;

use crate::manifest::columns::{self, Values};

/// How to write a table that can be read.
pub const HOW_TO: &str =
    "write one with pandas: pandas.DataFrame({\"id\": ids, \"target\": y_true, \
                          \"predicted\": y_pred}).to_csv(\"predictions.csv\", index=False)";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileKind {
    Parquet,
    JsonLines,
    JsonArray,
    Csv(u8),
}

/// A file with its columns; values are read when they are asked for.
#[derive(Clone, Debug)]
pub struct Frame {
    path: PathBuf,
    names: Vec<String>,
    /// Columns that are in memory: all but those of Parquet files.
    read: BTreeMap<String, Values>,
    parquet: bool,
}

impl Frame {
    /// Opens a table.
    ///
    /// # Errors
    /// When the file cannot be read, is none of the three kinds, has no header or repeats a name.
    pub fn open(path: &Path) -> Result<Self> {
        let (names, read, parquet) = match kind(path)? {
            FileKind::Parquet => (columns::names(path)?, BTreeMap::new(), true),
            FileKind::JsonLines => collected(json_lines(path)?),
            FileKind::JsonArray => collected(json_array(path)?),
            FileKind::Csv(delimiter) => {
                let (names, values) = csv(path, delimiter)?;
                (names, values, false)
            }
        };
        ensure!(!names.is_empty(), "{} has no columns; {HOW_TO}", path.display());
        Ok(Frame { path: path.to_owned(), names, read, parquet })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether a column of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name)
    }

    /// What a program of ours noted in the file; `None` in files of others.
    pub fn note(&self, key: &str) -> Option<String> {
        if self.parquet {
            columns::metadata(&self.path, key).ok().flatten()
        } else {
            None
        }
    }

    /// The values of some columns.
    ///
    /// # Errors
    /// When one is not there or of a kind that is not read.
    pub fn columns(&self, wanted: &[String]) -> Result<Vec<Values>> {
        if self.parquet {
            return columns::read(&self.path, wanted);
        }
        let one = |name: &String| {
            let values = self.read.get(name);
            values
                .cloned()
                .with_context(|| format!("{} has no column `{name}`", self.path.display()))
        };
        wanted.iter().map(one).collect()
    }
}

type Columns = (Vec<String>, BTreeMap<String, Values>);

fn collected((names, values): Columns) -> (Vec<String>, BTreeMap<String, Values>, bool) {
    (names, values, false)
}

/// Looks at the first bytes.
fn kind(path: &Path) -> Result<FileKind> {
    let cannot = || format!("cannot read {}", path.display());
    let mut start = Vec::new();
    File::open(path)
        .with_context(cannot)?
        .take(1 << 16)
        .read_to_end(&mut start)
        .with_context(cannot)?;
    if start.starts_with(b"PAR1") {
        return Ok(FileKind::Parquet);
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start);
    let binary = text.contains(&0) || text.starts_with(b"PK") || text.starts_with(b"\x80");
    ensure!(!binary, "{} is neither CSV nor JSON lines nor Parquet; {HOW_TO}", path.display());
    let first = text.iter().find(|b| !b.is_ascii_whitespace());
    match first {
        None => bail!("{} is empty; {HOW_TO}", path.display()),
        Some(b'{') => return Ok(FileKind::JsonLines),
        Some(b'[') => return Ok(FileKind::JsonArray),
        Some(_) => {}
    }
    let head = text.split(|&b| b == b'\n').find(|line| !line.is_empty()).unwrap_or_default();
    let count = |byte: u8| head.iter().filter(|&&b| b == byte).count();
    let delimiter = [b',', b'\t', b';'].into_iter().find(|&byte| count(byte) > 0);
    Ok(FileKind::Csv(delimiter.unwrap_or(b',')))
}

/// All columns as words; an empty cell is nothing.
fn csv(path: &Path, delimiter: u8) -> Result<Columns> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = BufReader::new(File::open(path).with_context(cannot)?);
    let mut mark = [0; 3];
    // A byte order mark, as spreadsheets write it, belongs to no name.
    if file.read_exact(&mut mark).is_err() || mark != *b"\xef\xbb\xbf" {
        file.rewind().with_context(cannot)?;
    }
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(file);
    let names: Vec<String> =
        reader.headers().with_context(cannot)?.iter().map(str::to_owned).collect();
    unique(path, &names)?;
    let mut values: Vec<Vec<Option<String>>> = vec![Vec::new(); names.len()];
    for record in reader.records() {
        let record = record.with_context(cannot)?;
        for (column, cell) in values.iter_mut().zip(&record) {
            column.push((!cell.is_empty()).then(|| cell.to_owned()));
        }
    }
    let values = names.iter().cloned().zip(values.into_iter().map(Values::Text)).collect();
    Ok((names, values))
}

fn unique(path: &Path, names: &[String]) -> Result<()> {
    for (i, name) in names.iter().enumerate() {
        ensure!(
            name.is_empty() || !names[..i].contains(name),
            "{} has two columns `{name}`; rename one",
            path.display()
        );
    }
    Ok(())
}

fn json_lines(path: &Path) -> Result<Columns> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rows = Rows::default();
    let stream = serde_json::Deserializer::from_reader(BufReader::new(file)).into_iter::<Value>();
    for (i, row) in stream.enumerate() {
        let row = row.with_context(|| format!("{}: object {} is broken", path.display(), i + 1))?;
        rows.add(path, i, row)?;
    }
    rows.columns(path)
}

fn json_array(path: &Path) -> Result<Columns> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parsed: Value = serde_json::from_reader(BufReader::new(file))
        .with_context(|| format!("{} is no JSON", path.display()))?;
    let mut rows = Rows::default();
    for (i, row) in parsed.as_array().into_iter().flatten().enumerate() {
        rows.add(path, i, row.clone())?;
    }
    rows.columns(path)
}

/// JSON objects as columns; a key that a row lacks is nothing there.
#[derive(Default)]
struct Rows {
    names: Vec<String>,
    values: BTreeMap<String, Vec<(usize, Value)>>,
    rows: usize,
}

impl Rows {
    fn add(&mut self, path: &Path, i: usize, row: Value) -> Result<()> {
        let Value::Object(row) = row else {
            bail!("{}: row {} is no object with id, target, predicted", path.display(), i + 1);
        };
        for (key, value) in row {
            if !self.values.contains_key(&key) {
                self.names.push(key.clone());
            }
            self.values.entry(key).or_default().push((i, value));
        }
        self.rows = i + 1;
        Ok(())
    }

    fn columns(self, path: &Path) -> Result<Columns> {
        let rows = self.rows;
        let column = |(name, cells): (String, Vec<(usize, Value)>)| {
            let values = json_column(cells, rows).map_err(|(row, what)| {
                anyhow::anyhow!("{}: row {}: `{name}` is {what}", path.display(), row + 1)
            })?;
            Ok((name, values))
        };
        Ok((self.names, self.values.into_iter().map(column).collect::<Result<_>>()?))
    }
}

/// A column of lists when its first value is one, else of words.
fn json_column(
    cells: Vec<(usize, Value)>,
    rows: usize,
) -> std::result::Result<Values, (usize, String)> {
    let first = cells.iter().find(|(_, value)| !value.is_null());
    if matches!(first, Some((_, Value::Array(_)))) {
        let mut lists = vec![None; rows];
        for (row, value) in cells {
            let Value::Array(parts) = value else {
                if value.is_null() {
                    continue;
                }
                return Err((row, format!("{value} and not a list")));
            };
            lists[row] = Some(parts.iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect());
        }
        return Ok(Values::Lists(lists));
    }
    let mut words = vec![None; rows];
    for (row, value) in cells {
        words[row] = match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(yes) => Some(u8::from(yes).to_string()),
            other => return Err((row, format!("{other} and neither a word nor a number"))),
        };
    }
    Ok(Values::Text(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("writable");
        (dir, path)
    }

    fn text(frame: &Frame, name: &str) -> Vec<Option<String>> {
        match frame.columns(&[name.to_owned()]).expect("there").remove(0) {
            Values::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn delimiters_and_byte_order_marks_are_recognised() {
        for bytes in ["id,target\na,1\n", "\u{feff}id\ttarget\na\t1\n", "id;target\r\na;1\r\n"] {
            let (_dir, path) = written("x.csv", bytes.as_bytes());
            let frame = Frame::open(&path).expect("a table");
            assert_eq!(frame.names(), ["id", "target"], "{bytes:?}");
            assert!(frame.has("id") && frame.has("target") && !frame.has("group"));
            assert_eq!(text(&frame, "target"), [Some("1".to_owned())]);
        }
    }

    #[test]
    fn json_of_both_forms_is_read_whatever_the_keys_order() {
        for bytes in [
            "{\"id\":\"a\",\"target\":1}\n{\"target\":0,\"id\":\"b\",\"p\":[0.5,null]}\n",
            "[{\"id\":\"a\",\"target\":1},{\"target\":0,\"id\":\"b\",\"p\":[0.5,null]}]",
        ] {
            let (_dir, path) = written("x.json", bytes.as_bytes());
            let frame = Frame::open(&path).expect("a table");
            assert_eq!(frame.names(), ["id", "target", "p"]);
            assert_eq!(text(&frame, "id"), [Some("a".to_owned()), Some("b".to_owned())]);
            let lists = frame.columns(&["p".to_owned()]).expect("there");
            let Values::Lists(lists) = &lists[0] else { panic!("{lists:?}") };
            assert!(lists[0].is_none() && lists[1].as_ref().is_some_and(|l| l[1].is_nan()));
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_how_to_write() {
        for bytes in [&b"PK\x03\x04rest"[..], b"\x93NUMPY\x00", b"", b"\x80\x04rest"] {
            let (_dir, path) = written("x.npz", bytes);
            let message = Frame::open(&path).expect_err("refused").to_string();
            assert!(message.contains("to_csv") && message.contains("x.npz"), "{message}");
        }
        let (_dir, path) = written("x.csv", b"id,id\na,b\n");
        assert!(Frame::open(&path).expect_err("twice").to_string().contains("two columns `id`"));
        let (_dir, path) = written("x.jsonl", b"{\"id\": {}}\n");
        assert!(format!("{:#}", Frame::open(&path).expect_err("nested")).contains("row 1: `id`"));
        let (_dir, path) = written("x.jsonl", b"{\"id\": 1}\n{\"id\": \n");
        assert!(format!("{:#}", Frame::open(&path).expect_err("cut")).contains("object 2"));
    }
}
