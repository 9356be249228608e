//! Lists with named columns as people keep them: commas, semicolons, tabs or bars between the
//! fields, blanks around them, a byte order mark, UTF-16, blank lines, any case of the names.
use anyhow::{bail, ensure, Context, Result};
use csv::StringRecord;

/// What may stand between two fields, the likeliest first.
const BETWEEN: [u8; 4] = *b",;\t|";

/// A list that was read.
#[derive(Debug)]
pub(super) struct Columns {
    /// Lower case, without blanks around.
    names: Vec<String>,
    rows: Vec<(u64, StringRecord)>,
}

/// One line of a list.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    list: &'a Columns,
    /// Its number in the file, from 1.
    pub number: u64,
    fields: &'a StringRecord,
}

impl Columns {
    /// Reads a list that has the columns `needed`.
    ///
    /// # Errors
    /// When it is no text, or no way to part its fields gives the columns; what it looks like
    /// instead is told.
    pub(super) fn read(bytes: &[u8], needed: &[&str]) -> Result<Self> {
        let text = decoded(bytes)?;
        let mut names = Vec::new();
        for between in BETWEEN {
            let (head, rows) = parts(&text, between)?;
            let has = |column: &&str| head.iter().any(|name| name == column);
            if needed.iter().all(has) {
                return Ok(Columns { names: head, rows });
            }
            names.push(head);
        }
        bail!(missing(&names, needed))
    }

    /// The lines with anything in them, in order.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.rows.iter().map(|(number, fields)| Line { list: self, number: *number, fields })
    }
}

impl<'a> Line<'a> {
    /// The field of a column as it stands there; empty where there is none.
    pub(super) fn raw(&self, column: &str) -> &'a str {
        let at = self.list.names.iter().position(|name| name == column);
        at.and_then(|at| self.fields.get(at)).unwrap_or_default()
    }

    /// The same without blanks around; `None` where nothing is left.
    pub(super) fn get(&self, column: &str) -> Option<&'a str> {
        Some(self.raw(column).trim()).filter(|field| !field.is_empty())
    }
}

/// The names of the columns and the lines with anything in them.
fn parts(text: &str, between: u8) -> Result<(Vec<String>, Vec<(u64, StringRecord)>)> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(between)
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut head = None;
    let mut rows = Vec::new();
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).context("not a list with columns")? {
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        let line = record.position().map_or(0, csv::Position::line);
        match head {
            None => head = Some(record.iter().map(|f| f.trim().to_lowercase()).collect()),
            Some(_) => rows.push((line, record.clone())),
        }
    }
    Ok((head.unwrap_or_default(), rows))
}

/// Why the columns are not there, as far as one can see.
fn missing(heads: &[Vec<String>], needed: &[&str]) -> String {
    let widest = heads.iter().max_by_key(|head| head.len());
    let Some(head) = widest.filter(|head| !head.is_empty()) else {
        return "the list is empty".into();
    };
    let shown = head.join(",").chars().take(80).collect::<String>().escape_debug().to_string();
    let lacks: Vec<_> = needed.iter().filter(|n| !head.iter().any(|name| name == *n)).collect();
    if lacks.len() == needed.len() {
        return format!(
            "the first line (`{shown}`) names no columns; begin the list with a line `{}`",
            needed.join(",")
        );
    }
    let lacks: Vec<_> = lacks.iter().map(|name| format!("`{name}`")).collect();
    format!("column {} is missing; the list has `{shown}`", lacks.join(" and "))
}

/// The text of a list: UTF-8, or UTF-16 that says so.
fn decoded(bytes: &[u8]) -> Result<String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        ensure!(bytes.len() % 2 == 0, "UTF-16 that ends within a character");
        let units: Vec<u16> = bytes.chunks_exact(2).map(|two| unit([two[0], two[1]])).collect();
        String::from_utf16(&units).context("not UTF-16, although it begins so")
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<String> {
    ensure!(!bytes.contains(&0), "not text, or UTF-16 without its mark; save the list as UTF-8");
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let at = error.valid_up_to();
            let line = bytes[..at].iter().filter(|&&b| b == b'\n').count() + 1;
            bail!("line {line} is not UTF-8 (byte 0x{:02X}); save the list as UTF-8", bytes[at])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(u64, String, Option<String>)> {
        let list = Columns::read(text, &["path", "label"]).expect("reads");
        let row =
            |l: Line<'_>| (l.number, l.raw("path").to_owned(), l.get("label").map(str::to_owned));
        list.lines().map(row).collect()
    }

    fn refused(text: &[u8]) -> String {
        format!("{:#}", Columns::read(text, &["path", "label"]).expect_err("refused"))
    }

    #[test]
    fn every_way_of_keeping_a_list_gives_the_same_rows() {
        let plain = "path,label\na b.png,Sad\nc.png,Fear\n";
        let wide = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}path,label\na b.png,Sad\nc.png,Fear\n".encode_utf16().flat_map(unit).collect()
        };
        let ways: [(&str, Vec<u8>); 9] = [
            ("plain", plain.into()),
            ("mark, carriage returns", format!("\u{feff}{plain}").replace('\n', "\r\n").into()),
            ("semicolons", plain.replace(',', ";").into()),
            ("tabs", plain.replace(',', "\t").into()),
            ("bars", plain.replace(',', " | ").replace("png |", "png|").into()),
            ("any case", plain.replace("path,label", " Path , LABEL").into()),
            (
                "a column of numbers",
                format!(",{}", plain.replace("\na", "\n0,a").replace("\nc", "\n1,c")).into(),
            ),
            ("UTF-16", wide(u16::to_le_bytes)),
            ("big-endian", wide(u16::to_be_bytes)),
        ];
        let want = [
            (2, "a b.png".to_owned(), Some("Sad".to_owned())),
            (3, "c.png".into(), Some("Fear".into())),
        ];
        for (way, bytes) in ways {
            assert_eq!(read(&bytes), want, "{way}");
        }
    }

    #[test]
    fn lines_keep_their_numbers_and_fields_their_blanks() {
        let found = read(b"\n path,label \n\n   \n\"x, y .png\", Sad\n z.png\n");
        assert_eq!(found[0], (5, "x, y .png".into(), Some("Sad".into())));
        assert_eq!(found[1], (6, " z.png".into(), None));
    }

    #[test]
    fn the_true_cause_is_named() {
        assert!(refused(b"p0.png,Anger\np1.png,Sad\n").contains("names no columns; begin"));
        assert!(refused(b"path,emotion\n")
            .contains("column `label` is missing; the list has `path,emotion`"));
        assert!(
            refused(b"path;Emotion\n").contains("`path,emotion`"),
            "{}",
            refused(b"path;Emotion\n")
        );
        assert_eq!(refused(b""), "the list is empty");
        assert!(
            refused(b"path,label\np\xe9.png,Sad\n").starts_with("line 2 is not UTF-8 (byte 0xE9)")
        );
        assert!(refused(b"p\0a\0t\0h\0").contains("UTF-16 without its mark"));
    }
}
