//! What only the publisher of a data set can say (licence, creators, address), and what its rows
//! say about responsible use, put into the card and the Croissant metadata of a finished folder.
use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{ensure, Context, Result};
use serde::Deserialize;
use serde_json::{json, Value};

use crate::{
    folder::OutputFolder,
    manifest::{self, Manifest},
    record::{Emotion, Split},
};

/// The publisher's own words: a TOML file with these keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// Name or address of the licence, such as `CC-BY-4.0`.
    pub license: String,
    /// People or groups who made the data set.
    pub creators: Vec<String>,
    /// Where it can be had.
    pub url: String,
    /// Day of publication, such as `2027-01-31`.
    pub date_published: String,
    /// Its name.
    pub name: Option<String>,
    /// What it is, in a sentence or two.
    pub description: Option<String>,
}

/// Between these lines of the card stands what this module wrote.
const MARKS: [&str; 2] = ["<!-- BEGIN: publication -->", "<!-- END: publication -->"];

impl Publication {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or a key is missing, empty or unknown; names it.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let found: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let texts = [&found.license, &found.url, &found.date_published];
        let full = texts.into_iter().chain(&found.creators).all(|text| !text.trim().is_empty());
        ensure!(full && !found.creators.is_empty(), "{}: a value is empty", path.display());
        Ok(found)
    }

    /// Puts it and the measurements into `README.md` and `croissant.json` of a manifest folder;
    /// again with other words, it replaces them.
    ///
    /// # Errors
    /// When the folder is no manifest of ours, or a file cannot be read or written.
    pub fn apply(&self, folder: &Path) -> Result<()> {
        let folder = manifest::folder_of(folder);
        let data = Manifest::read(&folder)?;
        let out = OutputFolder::reopen(&folder)?;
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let measured = measured(&data);
        let mut document: Value = serde_json::from_str(&read("croissant.json")?)
            .with_context(|| format!("{} has a damaged croissant.json", folder.display()))?;
        self.describe(&mut document, &measured);
        let card = self.card(&read("README.md")?, &measured);
        out.write_json("croissant.json", &document)?;
        out.write("README.md", card.as_bytes())
    }

    fn describe(&self, document: &mut Value, measured: &[(&str, String)]) {
        document["license"] = json!(self.license);
        document["url"] = json!(self.url);
        document["datePublished"] = json!(self.date_published);
        let creator = |name: &String| json!({"@type": "sc:Person", "name": name});
        document["creator"] = self.creators.iter().map(creator).collect();
        for (key, text) in [("name", &self.name), ("description", &self.description)] {
            if let Some(text) = text {
                document[key] = json!(text);
            }
        }
        for (key, text) in measured {
            document[format!("rai:{key}")] = json!(text);
        }
    }

    fn card(&self, card: &str, measured: &[(&str, String)]) -> String {
        let mut section = format!(
            "{}\n\n## Publication\n\n- licence: {}\n- creators: {}\n- address: {}\n- published: {}\n",
            MARKS[0],
            self.license,
            self.creators.join(", "),
            self.url,
            self.date_published
        );
        section.push_str("\n## Responsible use\n\n");
        for (key, text) in measured {
            let _ = writeln!(section, "- {key}: {text}");
        }
        let _ = writeln!(section, "\n{}", MARKS[1]);
        let before = card.split(MARKS[0]).next().unwrap_or_default().trim_end();
        let after = card.split_once(MARKS[1]).map_or("", |(_, after)| after).trim();
        let license = |line: &str| match line.starts_with("license: ") {
            true => format!("license: {}", self.license.to_lowercase()),
            false => line.to_owned(),
        };
        let before: Vec<String> = before.lines().map(license).collect();
        let gap = if after.is_empty() { "" } else { "\n" };
        format!("{}\n\n{section}{gap}{after}{gap}", before.join("\n"))
    }
}

/// Six fields of Croissant's vocabulary for responsible use, from the rows where rows can tell.
fn measured(data: &Manifest) -> Vec<(&'static str, String)> {
    vec![
        ("dataCollection", format!(
            "{} samples from {} clips or stills; boxes by {}",
            data.samples.len(),
            data.clips.len(),
            data.samples.first().map_or("nobody", |s| s.detector.as_str())
        )),
        ("dataBiases", format!("{}; {}", imbalance(data), missing_faces(data))),
        ("dataLimitations", format!(
            "left out: {}; labels are an annotator's words about acted scenes, not what a person feels",
            left_out(data)
        )),
        ("dataPreprocessingProtocol", data.meta.get("configuration").map_or_else(
            || "not recorded".into(),
            |configuration| format!("built with {configuration}"),
        )),
        ("personalSensitiveInformation",
            "faces of people; the samples show who they are and what emotion a scene was labelled with".into()),
        ("dataUseCases",
            "research on recognition methods by those entitled to the videos; not for decisions about people".into()),
    ]
}

/// Largest over smallest class, split by split.
fn imbalance(data: &Manifest) -> String {
    let of = |split: Split| {
        let mut counts = BTreeMap::new();
        let samples = data.samples.iter().filter(|s| s.split == split);
        samples.for_each(|s| *counts.entry(s.emotion).or_insert(0u64) += 1);
        let most = counts.iter().max_by_key(|(_, n)| **n)?;
        let least = counts.iter().min_by_key(|(_, n)| **n)?;
        Some(format!("{split}: {} {} to {} {}", most.1, most.0, least.1, least.0))
    };
    let all: Vec<_> = Split::ALL.into_iter().filter_map(of).collect();
    format!("samples of the largest and the smallest class in {}", all.join(", "))
}

/// Samples without a face, class by class.
fn missing_faces(data: &Manifest) -> String {
    let of = |emotion: Emotion| {
        let samples: Vec<_> = data.samples.iter().filter(|s| s.emotion == emotion).collect();
        let without = samples.iter().filter(|s| s.face.is_none()).count();
        (without > 0).then(|| format!("{emotion} {without} of {}", samples.len()))
    };
    let all: Vec<_> = Emotion::ALL.into_iter().filter_map(of).collect();
    match all.is_empty() {
        true => "every sample has a face".into(),
        false => format!("without a face: {}", all.join(", ")),
    }
}

/// Rows of the ledger by kind and reason.
fn left_out(data: &Manifest) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for entry in &data.ledger {
        *counts.entry(format!("{} ({})", entry.reason, entry.kind.name())).or_default() += 1;
    }
    let all: Vec<_> = counts.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    if all.is_empty() {
        "nothing".into()
    } else {
        all.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication() -> Publication {
        Publication {
            license: "CC-BY-4.0".into(),
            creators: vec!["A. One".into(), "B. Two".into()],
            url: "https://example.org/set".into(),
            date_published: "2027-01-31".into(),
            name: None,
            description: Some("Frames.".into()),
        }
    }

    #[test]
    fn the_publishers_words_stand_in_the_metadata() {
        let mut document = json!({"name": "emotion-frames", "description": "old"});
        publication().describe(&mut document, &[("dataBiases", "none".into())]);
        assert_eq!(document["name"], "emotion-frames");
        assert_eq!(document["description"], "Frames.");
        assert_eq!(document["creator"][1]["name"], "B. Two");
        assert_eq!(document["rai:dataBiases"], "none");
    }

    #[test]
    fn a_card_is_changed_in_one_place_and_again() {
        let card = "---\nlicense: other\n---\n\n# Title\n\nText.\n";
        let measured = [("dataBiases", "none".to_owned())];
        let once = publication().card(card, &measured);
        assert!(once.starts_with("---\nlicense: cc-by-4.0\n---\n\n# Title\n\nText.\n\n<!-- BEGIN"));
        assert!(
            once.contains("- creators: A. One, B. Two\n") && once.contains("- dataBiases: none")
        );
        assert_eq!(publication().card(&once, &measured), once, "a second time changes nothing");
    }

    #[test]
    fn wrong_files_are_refused_by_name() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("card.toml");
        let good = "license = 'MIT'\ncreators = ['A']\nurl = 'x'\ndate_published = '2027-01-31'\n";
        for (text, says) in [
            ("license = 'MIT'\n", "missing field"),
            ("licence = 'MIT'\n", "unknown field"),
            (&good.replace("'A'", "''"), "a value is empty"),
            (&good.replace("['A']", "[]"), "a value is empty"),
        ] {
            fs::write(&path, text).expect("write");
            let error = format!("{:#}", Publication::read(&path).expect_err(says));
            assert!(error.contains("card.toml") && error.contains(says), "{error}");
        }
        fs::write(&path, good).expect("write");
        assert_eq!(Publication::read(&path).expect("reads").creators, ["A"]);
    }
}
