//! Every link in the documentation leads somewhere: files are there, headings have that name.
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Folders of pages; what the program generates is checked where it is generated.
const PAGES: [&str; 3] = ["docs", "packaging", "."];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Markdown files of a folder, with those below it except at the root.
fn pages(folder: &Path, into: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).expect("list").flatten() {
        let path = entry.path();
        if path.is_dir() && folder != root() {
            pages(&path, into);
        } else if path.extension().is_some_and(|e| e == "md") {
            into.insert(path);
        }
    }
}

/// Text without fenced code and code spans, in which brackets are no links.
fn prose(text: &str) -> String {
    let mut in_fence = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        } else if !in_fence {
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join(""));
        }
    }
    lines.join("\n")
}

/// Targets of `[text](target)` and `![text](target)`.
fn links(text: &str) -> Vec<String> {
    let after = prose(text);
    let after = after.split("](").skip(1);
    after.filter_map(|rest| Some(rest.split_once(')')?.0.trim().to_owned())).collect()
}

/// The anchor that GitHub and mdBook give a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_fence = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        in_fence ^= line.trim_start().starts_with("```");
        if let Some(heading) = line.strip_prefix('#').filter(|_| !in_fence) {
            found.insert(anchor(heading.trim_start_matches('#')));
        }
    }
    found
}

/// What is wrong with a link of `page`; `None` when it leads somewhere.
fn fault(page: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        _ => page.parent().expect("a page lies in a folder").join(file),
    };
    if !target.exists() {
        return Some(format!("{}: {link} is not there", page.display()));
    }
    let is_page = target.extension().is_some_and(|e| e == "md");
    if heading.is_empty() || !is_page {
        return None;
    }
    let known = anchors(&fs::read_to_string(&target).expect("read"));
    (!known.contains(heading)).then(|| format!("{}: no heading {link}", page.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let mut all = BTreeSet::new();
    PAGES.iter().for_each(|folder| pages(&root().join(folder), &mut all));
    all.insert(root().join("reports/README.md"));
    assert!(all.len() > 10, "{all:?}");
    let faults: Vec<String> = all
        .iter()
        .flat_map(|page| {
            let text = fs::read_to_string(page).expect("read");
            links(&text).into_iter().filter_map(|link| fault(page, &link)).collect::<Vec<_>>()
        })
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Files of this repository that `text` names in code spans, such as `src/split.rs`; a name with a
/// placeholder in it, as in `src/model/x.rs`, is none.
fn named_files(text: &str) -> Vec<&str> {
    const FOLDERS: [&str; 6] = ["src/", "tests/", "examples/", "benches/", "scripts/", "fuzz/"];
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    text.split('`')
        .skip(1)
        .step_by(2)
        .flat_map(str::split_whitespace)
        .filter(|word| FOLDERS.iter().any(|f| word.starts_with(f)) && word.chars().all(is_name))
        .filter(|word| !word.ends_with("/x.rs"))
        .collect()
}

#[test]
fn every_file_that_a_page_names_is_there() {
    let mut all = BTreeSet::new();
    PAGES.iter().for_each(|folder| pages(&root().join(folder), &mut all));
    all.retain(|page| page.file_name().is_none_or(|name| name != "CHANGELOG.md"));
    let (mut seen, mut missing) = (0, Vec::new());
    for page in &all {
        let text = fs::read_to_string(page).expect("read");
        for name in named_files(&text) {
            seen += 1;
            if !root().join(name).exists() {
                missing.push(format!("{}: {name}", page.display()));
            }
        }
    }
    assert!(seen > 50 && missing.is_empty(), "{seen} names, not there: {missing:#?}");
}

#[test]
fn links_and_headings_are_read_as_a_browser_reads_them() {
    let text =
        "# A title, with `code`\n\n[a](b.md) ![c](d.png) `[no](link)`\n```\n# no\n[no](x)\n```\n";
    assert_eq!(links(text), ["b.md", "d.png"]);
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), ["a-title-with-code"]);
    assert!(fault(&root().join("README.md"), "nowhere.md").is_some());
    assert!(fault(&root().join("README.md"), "#no-such-heading").is_some());
}
