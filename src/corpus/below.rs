//! Clips or stills below any folder, whatever its layout.
use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};

use super::{
    content::is_litter,
    walk::{entries, Sought},
};

/// The files below `root` at any depth that are `sought` by their names or by their content, in order,
/// as paths below it. What systems leave behind, hidden files and folders behind links are passed over.
///
/// # Errors
/// When `root` or a folder below it is none or cannot be listed.
pub fn below(root: &Path, sought: Sought) -> Result<Vec<PathBuf>> {
    let found = fs::metadata(root).with_context(|| format!("nothing at {}", root.display()))?;
    ensure!(found.is_dir(), "{} is not a folder", root.display());
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in entries(&root.join(&folder))? {
            let path = folder.join(&entry.name);
            match entry.is_folder {
                _ if is_litter(&entry.name) => {}
                true if entry.is_link => {}
                true => folders.push(path),
                false if sought.is(&root.join(&path)) => files.push(path),
                false => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_name_and_by_content() {
        let dir = tempfile::tempdir().expect("temp dir");
        let put = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("folder")).expect("folder");
            fs::write(path, bytes).expect("write");
        };
        let avi = b"RIFF\0\0\0\0AVI LIST";
        put("a/b/plain.AVI", b"");
        put("a/noending", avi);
        put("9.bin", avi);
        put("a/picture", b"\x89PNG\r\n\x1a\n");
        put("a/b.txt", b"words");
        put("@eaDir/c.avi", avi);
        put("a/.hidden.avi", avi);
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/round")).expect("link");
        std::os::unix::fs::symlink("noending", dir.path().join("a/link")).expect("link");
        let names = |sought| -> Vec<String> {
            let found = below(dir.path(), sought).expect("lists");
            found.iter().map(|path| path.to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(Sought::Clips), ["9.bin", "a/b/plain.AVI", "a/link", "a/noending"]);
        assert_eq!(names(Sought::Stills), ["a/picture"]);
        let words = |path: &Path| below(path, Sought::Clips).expect_err("refused").to_string();
        assert!(words(&dir.path().join("9.bin")).ends_with("is not a folder"));
        assert!(words(&dir.path().join("gone")).starts_with("nothing at"));
    }
}
