//! Lists that are read by lines: CSV tables, lines of JSON and of words.
use std::{collections::BTreeMap, path::Path};

use csv::{ReaderBuilder, StringRecord, WriterBuilder};

use super::mention::Mention;

/// The table of verdicts on one's own samples, and its column that names another: the row stays, as the
/// verdict does on models that were trained before, and the other's name goes.
const VERDICTS: (&str, &str) = ("clean.csv", "partner_id");
/// The table whose first column is the name of a cluster: one of its members.
const CLUSTERS: &str = "clusters.csv";

/// The text of the file `name` without the clips, and how many lines went or were changed for it. The
/// others keep their bytes.
pub(super) fn without(mention: &Mention, name: &Path, text: &str) -> (String, usize) {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let file = name.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if file == CLUSTERS {
        return clusters(mention, &lines);
    }
    let head = lines.first().and_then(|line| record(line)).unwrap_or_default();
    let partner = head.iter().position(|column| file == VERDICTS.0 && column == VERDICTS.1);
    let mut left = String::with_capacity(text.len());
    let mut changed = 0;
    for line in lines {
        if !mention.is_in(line) {
            left.push_str(line);
            continue;
        }
        changed += 1;
        let emptied = partner.zip(record(line)).and_then(|(partner, row)| {
            let cells =
                row.iter().enumerate().map(|(k, cell)| if k == partner { "" } else { cell });
            written(&cells.collect())
        });
        left.push_str(&emptied.filter(|row| !mention.is_in(row)).unwrap_or_default());
    }
    (left, changed)
}

/// A cluster whose name giver goes is called after the first that stays; of one alone nothing stays.
fn clusters(mention: &Mention, lines: &[&str]) -> (String, usize) {
    let rows: Vec<Option<StringRecord>> = lines.iter().map(|line| record(line)).collect();
    let is_gone = |row: &StringRecord| row.iter().skip(1).any(|cell| mention.is_in(cell));
    let mut members: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows.iter().flatten().filter(|row| !is_gone(row)) {
        if let Some((cluster, member)) = row.get(0).zip(row.iter().next_back()) {
            members.entry(cluster).or_default().push(member);
        }
    }
    let (mut left, mut changed) = (String::new(), 0);
    let gone: Vec<&str> =
        rows.iter().flatten().filter(|row| is_gone(row)).filter_map(|row| row.get(0)).collect();
    for (line, row) in lines.iter().zip(&rows) {
        let Some(row) = row else { continue };
        let cluster = row.get(0).unwrap_or_default();
        let stay = members.get(cluster).map_or(&[][..], |all| all);
        if !gone.contains(&cluster) && !mention.is_in(line) {
            left.push_str(line);
        } else if is_gone(row) || stay.len() < 2 {
            changed += 1;
        } else if mention.is_in(cluster) {
            let cells = stay.first().copied().into_iter().chain(row.iter().skip(1));
            left.push_str(&written(&cells.collect()).unwrap_or_default());
            changed += 1;
        } else {
            left.push_str(line);
        }
    }
    (left, changed)
}

/// A line of CSV as its cells.
fn record(line: &str) -> Option<StringRecord> {
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    reader.records().next()?.ok()
}

/// The opposite.
fn written(row: &StringRecord) -> Option<String> {
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(row).ok()?;
    String::from_utf8(writer.into_inner().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn left(name: &str, text: &str) -> (String, usize) {
        let mention = Mention::of(&BTreeSet::from(["train/Sad/1".to_owned()]));
        without(&mention, Path::new(name), text)
    }

    #[test]
    fn a_verdict_on_another_sample_stays_without_the_partner() {
        let head = "sample_id,split,near_duplicate,same_video,partner_id,distance\n";
        let other = "test/\"a\",test,false,false,,\n";
        let text = format!(
            "{head}{other}test/b,test,true,false,train/Sad/1/000,4\ntrain/Sad/1/001,val,true,true,x,3\n"
        );
        let wanted = format!("{head}{other}test/b,test,true,false,,4\n");
        assert_eq!(left("audit/clean.csv", &text), (wanted.clone(), 2));
        assert_eq!(left("clean.csv", &wanted), (wanted, 0));
        // A pair of which one half is gone is none.
        let (pairs, n) = left("pairs.csv", &text);
        assert_eq!((pairs, n), (format!("{head}{other}"), 2));
    }

    #[test]
    fn clusters_get_another_name_giver() {
        let head = "cluster,part,sample_id\n";
        let rest = "x/000,train,x/000\nx/000,test,y/000\n";
        let text = format!(
            "{head}train/Sad/1/000,train,train/Sad/1/000\ntrain/Sad/1/000,train,a/000\n\
             train/Sad/1/000,test,b/000\n{rest}z/0,train,z/0\nz/0,train,train/Sad/1/001\n"
        );
        let wanted = format!("{head}a/000,train,a/000\na/000,test,b/000\n{rest}");
        assert_eq!(left("clusters.csv", &text), (wanted, 5));
    }
}
