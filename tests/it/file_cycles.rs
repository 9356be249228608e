//! No two files import each other, directly or in a circle.
//!
//! A file depends on the file in which a name that it uses is defined; re-exports are followed. A
//! module and the files below it are one room and may use each other.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{visit::Visit, Item, UseTree};

type ModulePath = Vec<String>;

/// What a source file says of others.
#[derive(Default)]
struct Source {
    /// Paths that it uses, absolute: without the leading `crate`.
    used: BTreeSet<ModulePath>,
    /// Names that it passes on, with where they come from.
    reexported: BTreeMap<String, ModulePath>,
}

struct Reader<'a> {
    module: &'a ModulePath,
    children: BTreeSet<String>,
    source: Source,
}

impl Reader<'_> {
    /// A path as it stands in the file, absolute; `None` when it leads out of the crate.
    fn absolute(&self, path: &[String]) -> Option<ModulePath> {
        let (first, rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => {
                let mut base = self.module.clone();
                base.pop();
                base
            }
            child if self.children.contains(child) => {
                let mut base = self.module.clone();
                base.push(child.to_owned());
                base
            }
            _ => return None,
        };
        for part in rest {
            match part.as_str() {
                "super" => drop(base.pop()),
                "self" => {}
                _ => base.push(part.clone()),
            }
        }
        Some(base)
    }

    fn leaves(&self, tree: &UseTree, prefix: &[String], out: &mut Vec<(String, Vec<String>)>) {
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.leaves(&path.tree, &with(path.ident.to_string()), out),
            UseTree::Name(name) if name.ident == "self" => {
                out.push((prefix.last().cloned().unwrap_or_default(), prefix.to_vec()));
            }
            UseTree::Name(name) => {
                out.push((name.ident.to_string(), with(name.ident.to_string())));
            }
            UseTree::Rename(name) => {
                out.push((name.rename.to_string(), with(name.ident.to_string())));
            }
            UseTree::Glob(_) => out.push(("*".into(), prefix.to_vec())),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.leaves(tree, prefix, out));
            }
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        a.path().is_ident("cfg")
            && a.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => return syn::visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        self.leaves(&item.tree, &[], &mut leaves);
        for (name, path) in leaves {
            let Some(path) = self.absolute(&path) else { continue };
            self.source.used.insert(path.clone());
            self.source.reexported.insert(name, path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if parts.len() > 1 {
            self.source.used.extend(self.absolute(&parts));
        }
        syn::visit::visit_path(self, path);
    }
}

/// Every module file below `src` with its path in the crate.
fn modules() -> BTreeMap<ModulePath, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("source folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inside = path.strip_prefix(&root).expect("below src").with_extension("");
                let mut module: ModulePath =
                    inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                match module.last().map(String::as_str) {
                    Some("main") => continue,
                    Some("mod" | "lib") => drop(module.pop()),
                    _ => {}
                }
                found.insert(module, path);
            }
        }
    }
    found
}

fn read(module: &ModulePath, file: &Path) -> Source {
    let text = fs::read_to_string(file).expect("source");
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let children = parsed.items.iter().filter_map(|item| match item {
        Item::Mod(item) => Some(item.ident.to_string()),
        _ => None,
    });
    let mut reader = Reader { module, children: children.collect(), source: Source::default() };
    reader.visit_file(&parsed);
    reader.source
}

/// The module in whose file the thing at `path` is defined.
fn owner(path: &ModulePath, sources: &BTreeMap<ModulePath, Source>) -> ModulePath {
    let mut path = path.clone();
    for _ in 0..8 {
        let at = (0..=path.len()).rev().find(|n| sources.contains_key(&path[..*n]));
        let (module, rest) = path.split_at(at.expect("the crate itself is a module"));
        let Some(next) = rest.first().and_then(|name| sources[module].reexported.get(name)) else {
            return module.to_vec();
        };
        path = [next.as_slice(), &rest[1..]].concat();
    }
    panic!("{path:?} is passed round in a circle")
}

fn are_one_room(a: &[String], b: &[String]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// A circle of modules through `at`, when there is one.
fn circle(
    at: &ModulePath,
    edges: &BTreeMap<ModulePath, BTreeSet<ModulePath>>,
    way: &mut Vec<ModulePath>,
    done: &mut BTreeSet<ModulePath>,
) -> Option<Vec<ModulePath>> {
    if let Some(start) = way.iter().position(|m| m == at) {
        return Some(way[start..].to_vec());
    }
    if !done.insert(at.clone()) {
        return None;
    }
    way.push(at.clone());
    let found = edges[at].iter().find_map(|next| circle(next, edges, way, done));
    way.pop();
    found
}

#[test]
fn no_files_import_each_other() {
    let files = modules();
    let sources: BTreeMap<_, _> = files.iter().map(|(m, f)| (m.clone(), read(m, f))).collect();
    let edges: BTreeMap<ModulePath, BTreeSet<ModulePath>> = sources
        .iter()
        .map(|(module, source)| {
            let used = source.used.iter().map(|path| owner(path, &sources));
            (module.clone(), used.filter(|m| !are_one_room(m, module)).collect())
        })
        .collect();
    assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 300, "the reader sees nothing");
    let mut circles = BTreeSet::new();
    for module in edges.keys() {
        let found = circle(module, &edges, &mut Vec::new(), &mut BTreeSet::new());
        if let Some(mut found) = found {
            found.sort();
            circles.insert(found.iter().map(|m| m.join("::")).collect::<Vec<_>>().join(" <-> "));
        }
    }
    assert!(circles.is_empty(), "files that import each other: {circles:#?}");
}
