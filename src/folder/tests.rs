use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::symlink},
};

use serde_json::json;

use super::{list::decode, *};

fn fresh(out: &Path) -> OutputFolder {
    match claim(out, &json!({"seed": 1})).expect("claimed") {
        Claim::Fresh(folder) => folder,
        other => panic!("{other:?}"),
    }
}

fn refusal(out: &Path) -> String {
    format!("{:#}", claim(out, &json!({"seed": 1})).expect_err("refused"))
}

/// Every path below `root` with what it is and holds.
fn listing(root: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("list") {
            let path = entry.expect("entry").path();
            let kind = fs::symlink_metadata(&path).expect("metadata");
            let what = if kind.is_symlink() {
                format!("link to {}", fs::read_link(&path).expect("link").display())
            } else if kind.is_dir() {
                folders.push(path.clone());
                "folder".into()
            } else {
                fs::read_to_string(&path).expect("text")
            };
            found.push((path, what));
        }
    }
    found.sort();
    found
}

#[test]
fn a_folder_is_fresh_then_resumed_then_done() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("a/b");
    let folder = fresh(&out);
    folder.write("x/y.txt", b"1").expect("write");
    drop(folder);
    let Claim::Resume(folder) = claim(&out, &json!({"seed": 1})).expect("claimed") else {
        panic!("not resumed")
    };
    folder.write("x/y.txt", b"2").expect("replaces its own");
    folder.finish().expect("finish");
    drop(folder);
    assert!(matches!(claim(&out, &json!({"seed": 1})).expect("claimed"), Claim::Done));
    let other = format!("{:#}", claim(&out, &json!({"seed": 2})).expect_err("other"));
    assert!(other.contains("seed: 1 -> 2"), "{other}");
}

#[test]
fn foreign_folders_files_and_dangling_links_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("out");
    fs::create_dir_all(out.join("images/holiday")).expect("folder");
    fs::write(out.join("images/holiday/beach.jpg"), "sand").expect("file");
    fs::write(dir.path().join("file"), "text").expect("file");
    symlink("nowhere", dir.path().join("dangling")).expect("link");
    let before = listing(dir.path());
    assert!(refusal(&out).contains("(images)"), "{}", refusal(&out));
    assert!(refusal(&dir.path().join("file")).contains("is a file"));
    assert!(refusal(&dir.path().join("dangling")).contains("link to nothing"));
    assert_eq!(listing(dir.path()), before);
}

#[test]
fn a_foreign_record_is_no_record_of_ours() {
    let dir = tempfile::tempdir().expect("temp dir");
    fs::write(dir.path().join("configuration.json"), "{\"mine\": true}").expect("file");
    let before = listing(dir.path());
    assert!(refusal(dir.path()).contains("mine: true -> null"), "{}", refusal(dir.path()));
    fs::write(dir.path().join("configuration.json"), "no json").expect("file");
    assert!(refusal(dir.path()).contains("no record of this program"));
    fs::write(dir.path().join("configuration.json"), "{\"seed\": 1}").expect("file");
    assert!(refusal(dir.path()).contains("earlier version"));
    assert_eq!(listing(dir.path()).len(), before.len());
}

#[test]
fn a_second_writer_is_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    let held = fresh(dir.path());
    assert!(refusal(dir.path()).contains("in use"), "{}", refusal(dir.path()));
    drop(held);
    claim(dir.path(), &json!({"seed": 1})).expect("free again");
}

#[test]
fn what_others_put_beside_ours_stays() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("out");
    let real = dir.path().join("real");
    fs::create_dir(&real).expect("folder");
    fs::write(real.join("mine.jpg"), "mine").expect("file");
    let folder = fresh(&out);
    folder.write("images/a.jpg", b"a").expect("write");
    folder.write("images/b.jpg", b"b").expect("write");
    fs::write(out.join("images/foreign.jpg"), "foreign").expect("file");
    fs::write(out.join("README.md"), "notes").expect("file");
    symlink(&real, out.join("figures")).expect("link");
    symlink(real.join("mine.jpg"), out.join("page.html")).expect("link");
    for name in
        ["README.md", "images/foreign.jpg", "figures/x.svg", "figures/mine.jpg", "page.html"]
    {
        assert!(folder.write(name, b"x").is_err(), "{name}");
    }
    folder.retain(|name| name == Path::new("images/a.jpg")).expect("retain");
    assert!(out.join("images/a.jpg").exists() && !out.join("images/b.jpg").exists());
    assert_eq!(fs::read_to_string(out.join("images/foreign.jpg")).expect("there"), "foreign");
    assert_eq!(fs::read_to_string(out.join("README.md")).expect("there"), "notes");
    assert_eq!(fs::read_to_string(real.join("mine.jpg")).expect("there"), "mine");
}

#[test]
fn a_listed_file_that_became_a_link_is_neither_followed_nor_removed() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("out");
    let folder = fresh(&out);
    folder.write("images/a.jpg", b"a").expect("write");
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(out.join("images"), &elsewhere).expect("moved");
    symlink(&elsewhere, out.join("images")).expect("link");
    let refused = folder.retain(|_| false).expect_err("through a link");
    assert!(refused.to_string().contains("is a link"), "{refused}");
    assert!(folder.write("images/a.jpg", b"b").is_err());
    assert_eq!(fs::read_to_string(elsewhere.join("a.jpg")).expect("there"), "a");
}

#[test]
fn workers_see_what_others_wrote_and_the_list_is_in_order() {
    let dir = tempfile::tempdir().expect("temp dir");
    let owner = fresh(dir.path());
    let worker = OutputFolder::join(dir.path()).expect("join");
    worker.write("images/b.jpg", b"b").expect("write");
    owner.write("images/b.jpg", b"again").expect("a file of a worker is ours");
    worker.write("images/c.jpg", b"c").expect("write");
    owner.retain(|name| name != Path::new("images/c.jpg")).expect("retain");
    assert!(!dir.path().join("images/c.jpg").exists(), "what a worker wrote can be removed");
    owner.write("a.txt", b"a").expect("write");
    owner.finish().expect("finish");
    let list = fs::read_to_string(dir.path().join(FILES)).expect("list");
    assert_eq!(list, "ncaers-files 1\na.txt\nimages/\nimages/b.jpg\n");
}

#[test]
fn many_processes_join_a_folder_that_one_of_them_is_making() {
    let dir = tempfile::tempdir().expect("temp dir");
    for round in 0..200 {
        let out = dir.path().join(round.to_string());
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (out, start) = (&out, &start);
                scope.spawn(move || {
                    start.wait();
                    let folder = claim_shared(out, "test").expect("joined");
                    folder.write(format!("{writer}.txt"), b"x").expect("written");
                });
            }
        });
        let names = claim_shared(&out, "test").expect("joined again").names();
        assert_eq!(names.len(), 4, "round {round}: {names:?}");
    }
}

#[test]
fn leftovers_of_a_killed_writer_go_and_half_a_line_is_no_name() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = fresh(dir.path());
    let target = folder.target("images/a.jpg").expect("target");
    drop(folder);
    fs::write(atomic::part_path(&target), "half").expect("part");
    let list = dir.path().join(FILES);
    let cut = fs::read_to_string(&list).expect("list") + "images/b.j";
    fs::write(&list, cut).expect("cut");
    let Claim::Resume(folder) = claim(dir.path(), &json!({"seed": 1})).expect("claimed") else {
        panic!("not resumed")
    };
    assert!(!atomic::part_path(&target).exists());
    assert!(!folder.has(Path::new("images/b.j")).expect("list"));
}

#[test]
fn folders_that_get_empty_go_with_their_files() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = fresh(dir.path());
    folder.write("images/train/Sad/a.jpg", b"a").expect("write");
    folder.write("images/test/a.jpg", b"a").expect("write");
    folder.retain(|name| name.starts_with("images/test")).expect("retain");
    assert!(!dir.path().join("images/train").exists() && dir.path().join("images/test").exists());
}

#[test]
fn what_a_worker_wrote_is_retained_or_removed_as_well() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = fresh(dir.path());
    let worker = OutputFolder::join(dir.path()).expect("join");
    worker.write("images/kept.jpg", b"a").expect("write");
    worker.write("images/dropped.jpg", b"b").expect("write");
    folder.retain(|name| name == Path::new("images/kept.jpg")).expect("retain");
    assert!(!dir.path().join("images/dropped.jpg").exists());
    assert!(folder.has(Path::new("images/kept.jpg")).expect("list"), "forgotten");
}

#[test]
fn any_name_survives_the_list() {
    for name in [&b"a\nb"[..], b"a\\nb", b"\xff\xfe", b"x/\\/y"] {
        let path = Path::new(OsStr::from_bytes(name));
        assert_eq!(decode(&encode(path, false)), path);
    }
}

#[test]
fn names_cannot_escape() {
    assert_eq!(safe_component("../a b"), "_.._a_b");
    assert_eq!(safe_component("-rf"), "_-rf");
    let root = Path::new("/data");
    assert!(below(root, "../x").is_err());
    assert!(below(root, "/x").is_err());
    assert!(below(root, "").is_err());
    assert_eq!(below(root, "a/b").expect("inside"), Path::new("/data/a/b"));
}
