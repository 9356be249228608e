//! Dependencies between the top-level modules point downwards only, and never sideways.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The layers, lowest first; a module may use only modules of strictly lower layers.
const LAYERS: &[&[&str]] = &[
    &["allocator", "escape", "text", "words"],
    &["record", "seed", "digest", "progress", "table", "html"],
    &["atomic", "libtorch"],
    &["folder", "device"],
    &["sampling", "split", "similarity", "model", "stats"],
    &["metric"],
    &["media", "face", "manifest", "weights"],
    &["corpus", "pack", "runs", "leak_verdicts", "machine"],
    &["dataset", "train", "report"],
    &["leak_audit"],
    &["evaluation"],
    &["experiment"],
    &["annotate"],
    &["cli"],
    // For tests and measurements only: nothing of ours may use it.
    &["internals"],
];

/// The layers that neither read nor write anything.
const PURE: &[&str] = &["sampling", "split", "similarity", "model", "stats", "metric"];

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("source folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The first names after every `crate::` of a file, nested braces included.
fn used_modules(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => used.extend(group_heads(group)),
            None => used.push(head(rest)),
        }
    }
    used
}

fn head(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The heads of the comma-separated paths at depth 0 of a brace group.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(head(&group[start..i]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(head(&group[start..i]));
                start = i + 1;
            }
            _ => {}
        }
    }
    heads.retain(|h| !h.is_empty());
    heads
}

#[test]
fn arrows_point_downwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = BTreeMap::new();
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src").to_owned();
        let first = relative.components().next().expect("a name").as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" {
            continue;
        }
        let own = layer_of(&module).unwrap_or_else(|| {
            panic!("{module} has no layer; give it one in tests/it/layering.rs")
        });
        for used in used_modules(&fs::read_to_string(&file).expect("source")) {
            let Some(layer) = layer_of(&used) else { continue };
            if used != module && layer >= own {
                wrong.insert(format!("{} -> {used}", relative.display()), (own, layer));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that do not point down: {wrong:#?}");
}

#[test]
fn pure_layers_touch_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let forbidden = ["std::fs", "SystemTime", "Instant::now", "println!", "HashMap", "thread_rng"];
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src").to_owned();
        let first = relative.components().next().expect("a name").as_os_str().to_string_lossy();
        if !PURE.contains(&first.trim_end_matches(".rs")) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("source");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in forbidden {
            assert!(!code.contains(word), "{} uses {word}", relative.display());
        }
    }
}

/// Targets of the fuzzer compile files of `src` into themselves, and no other test compiles them.
#[test]
fn fuzz_targets_have_what_their_files_use() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    sources(&folder, &mut targets);
    assert!(targets.len() >= 4, "{targets:?}");
    for target in targets {
        let text = fs::read_to_string(&target).expect("source");
        for rest in text.split("#[path = \"").skip(1) {
            let file = folder.join(rest.split('"').next().unwrap_or_default());
            let included = fs::read_to_string(&file).unwrap_or_else(|e| {
                panic!("{} compiles in {}: {e}", target.display(), file.display())
            });
            let code = included.split("#[cfg(test)]").next().unwrap_or_default();
            for used in used_modules(code) {
                let is_there =
                    text.lines().any(|line| line.trim_end_matches(';') == format!("mod {used}"));
                assert!(
                    is_there,
                    "{} lacks mod {used}, which {} uses",
                    target.display(),
                    file.display()
                );
            }
        }
    }
}

#[test]
fn the_reader_sees_groups_and_nested_paths() {
    let text = "use crate::{a::{b, c}, d};\nuse crate::e::f;\n// crate::g\n";
    assert_eq!(used_modules(text), ["a", "d", "e"]);
}
