//! The experiment files that come inside the program, so that an installed one needs no clone.
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use crate::{
    digest,
    folder::{self, Claim},
};

/// Path below the folder `experiments` and text of every file in it, in the order of their paths.
pub const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/experiments.rs"));

/// The text of a file by its path below the folder, with or without `.toml`.
pub fn text(name: &str) -> Option<&'static str> {
    let is_it = |file: &&(&str, &str)| file.0 == name || file.0.strip_suffix(".toml") == Some(name);
    FILES.iter().find(is_it).map(|&(_, text)| text)
}

/// What a file says about itself: the comment that it begins with, as one line.
pub fn about(text: &str) -> String {
    let comment = text.lines().map_while(|line| line.strip_prefix('#'));
    comment.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Writes every file below `out`, where grids find what they include, and returns their paths.
///
/// # Errors
/// When the folder holds something else, or the files of another version, or cannot be written.
pub fn write(out: &Path) -> Result<Vec<PathBuf>> {
    let all: String = FILES.iter().flat_map(|(name, text)| [*name, *text]).collect();
    let configuration =
        json!({"command": "experiments", "digest": digest::sha256_hex(all.as_bytes())});
    if let Claim::Fresh(folder) | Claim::Resume(folder) = folder::claim(out, &configuration)? {
        FILES.iter().try_for_each(|(name, text)| folder.write(name, text.as_bytes()))?;
        folder.finish()?;
    }
    Ok(FILES.iter().map(|(name, _)| out.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn below(folder: &Path, prefix: &str, into: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("list").flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                below(&entry.path(), &format!("{name}/"), into);
            } else {
                into.insert(name);
            }
        }
    }

    #[test]
    fn every_experiment_of_the_clone_is_inside() {
        let mut there = BTreeSet::new();
        below(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments")), "", &mut there);
        let inside: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(there, inside);
    }

    #[test]
    fn files_have_names_and_tell_what_they_are() {
        assert_eq!(text("demo"), text("demo.toml"));
        assert!(text("nothing").is_none());
        for (name, text) in FILES {
            assert!(about(text).len() > 20, "{name} begins with no comment");
        }
    }

    #[test]
    fn they_are_written_once_and_a_foreign_folder_is_refused() {
        let dir = tempfile::tempdir().expect("temp dir");
        let out = dir.path().join("experiments");
        let paths = write(&out).expect("writes");
        assert_eq!(paths.len(), FILES.len());
        assert!(paths.iter().all(|path| path.is_file()));
        write(&out).expect("the same again");
        std::fs::write(dir.path().join("mine.toml"), "# mine\n").expect("write");
        let error = write(dir.path()).expect_err("not ours").to_string();
        assert!(error.contains("already holds other files"), "{error}");
    }
}
