//! The experiment files that come inside the program, so that an installed one needs no clone.
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

use crate::output;

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

/// Writes every file below `folder`, where grids find what they include; a file of the same
/// content stays, and returns their paths.
///
/// # Errors
/// When a file of another content is there, or the folder cannot be written.
pub fn write(folder: &Path) -> Result<Vec<PathBuf>> {
    let paths: Vec<PathBuf> = FILES.iter().map(|(name, _)| folder.join(name)).collect();
    for (path, (_, text)) in paths.iter().zip(FILES) {
        match std::fs::read(path) {
            Ok(found) if found == text.as_bytes() => {}
            Ok(_) => bail!(
                "{} is there with another content; choose another folder or move it away",
                path.display()
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                output::write(path, text.as_bytes())?;
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()))
            }
        }
    }
    Ok(paths)
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
    fn a_file_of_somebody_else_is_refused_and_stays() {
        let dir = tempfile::tempdir().expect("temp dir");
        assert_eq!(write(dir.path()).expect("writes").len(), FILES.len());
        write(dir.path()).expect("the same again");
        std::fs::write(dir.path().join("demo.toml"), "# mine\n").expect("write");
        let error = write(dir.path()).expect_err("another content").to_string();
        assert!(error.contains("demo.toml is there with another content"), "{error}");
        let kept = std::fs::read_to_string(dir.path().join("demo.toml")).expect("read");
        assert_eq!(kept, "# mine\n");
    }
}
