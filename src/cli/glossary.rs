//! `ncaers glossary [WORD]`
use anyhow::{ensure, Result};
use serde_json::json;

use super::Done;

/// The page that the documentation shows too.
const PAGE: &str = include_str!("../../docs/glossary.md");

/// Explain the terms of commands, tables and pages
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples: ncaers glossary\n          ncaers glossary ledger")]
pub struct Args {
    /// Only entries that contain this word in their name, such as pack or mC
    word: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let word = args.word.as_deref().unwrap_or_default().to_lowercase();
    let found: Vec<(String, String)> =
        entries().filter(|(names, _)| names.to_lowercase().contains(&word)).collect();
    ensure!(!found.is_empty(), "no entry for `{word}`; `ncaers glossary` prints them all");
    let text = found.iter().map(|(names, meaning)| format!("{names}\n    {meaning}\n"));
    let json = found.iter().map(|(names, meaning)| json!({"names": names, "meaning": meaning}));
    Ok(Done { text: text.collect(), json: json.collect(), exit: 0 })
}

/// Names and meanings in the page's order; a meaning is one line.
fn entries() -> impl Iterator<Item = (String, String)> {
    PAGE.split("\n- **").skip(1).filter_map(|entry| {
        let (names, meaning) = entry.split_once("**")?;
        let words = meaning.trim_start_matches([':', ' ']).replace(['`', '*'], "");
        Some((names.to_owned(), words.split_whitespace().collect::<Vec<_>>().join(" ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_the_page_is_read() {
        let all: Vec<_> = entries().collect();
        assert_eq!(all.len(), PAGE.lines().filter(|line| line.starts_with("- **")).count());
        assert!(all.iter().all(|(_, meaning)| meaning.len() > 20 && !meaning.contains('\n')));
    }

    #[test]
    fn a_word_finds_its_entry() {
        let of = |word: &str| run(&Args { word: Some(word.into()) });
        assert!(of("mc").expect("known").text.starts_with("F, mC, fC\n    the inputs"));
        assert!(of("quark").expect_err("unknown").to_string().contains("no entry for `quark`"));
    }
}
