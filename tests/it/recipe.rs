//! `ncaers recipe`, `rebuild`, `diff` and `withdraw`: a data set goes through a file without a picture
//! and comes back byte for byte; what cannot come back is told; what is taken back is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::common::{
    builds::{build, corpus, promised, small, stderr_of},
    clips::write,
    ncaers,
};
use ncaers::{
    internals::media::encode::ClipFormat,
    manifest::{self, Manifest},
    record::LedgerKind,
};

/// The files of a data set that a rebuild gives back: all but what tells how a folder was filled.
fn data(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = promised(folder);
    let own = ["configuration.json", "rebuild.json", ".ncaers-files", "finished"];
    files.retain(|name, _| !own.contains(&&*name.to_string_lossy()));
    files
}

fn assert_same_data(a: &Path, b: &Path) {
    let (a, b) = (data(a), data(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(*bytes == b[name], "{} differs", name.display());
    }
}

struct Place {
    _dir: tempfile::TempDir,
    root: PathBuf,
}

impl Place {
    /// A corpus, its build and the build's recipe.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        let place = Place { root: dir.path().to_owned(), _dir: dir };
        corpus(&place.at("corpus"));
        build(&place.at("corpus"), &place.at("built")).assert().success();
        let mut recipe = ncaers();
        recipe.arg("recipe").arg(place.at("built")).arg("--out").arg(place.at("r.parquet"));
        recipe.assert().success();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn rebuild(&self, recipe: &str, corpus: &str, out: &str) -> assert_cmd::Command {
        let mut command = ncaers();
        command.arg("rebuild").arg(self.at(recipe)).arg("--corpus").arg(self.at(corpus));
        command.arg("--out").arg(self.at(out));
        command
    }
}

#[test]
fn a_builds_own_recipe_gives_its_bytes() {
    let place = Place::new();
    let count = Manifest::read(&place.at("built")).expect("reads").samples.len();
    let table = manifest::Recipe::read(&place.at("r.parquet")).expect("reads");
    assert_eq!(table.rows.len(), count);
    assert!(table.rows.iter().all(|row| row.clip_sha256.len() == 64), "digests come back as hex");
    assert!(table.rows.iter().all(|row| row.sample.image_path.is_empty()), "names that follow");
    let text = fs::metadata(place.at("r.csv")).expect("written").len() as usize;
    assert!(text < 200 * count + 4000, "{text} bytes for {count} samples");
    assert!(place.at("r.croissant.json").is_file());
    place.rebuild("r.parquet", "corpus", "rebuilt").assert().success();
    assert_same_data(&place.at("built"), &place.at("rebuilt"));
    ncaers().arg("verify").arg(place.at("rebuilt")).assert().success();
    ncaers().arg("diff").arg(place.at("built")).arg(place.at("rebuilt")).assert().code(0);
    ncaers().arg("diff").arg(place.at("r.csv")).arg(place.at("rebuilt")).assert().code(0);

    // The text tells less of clips and of what was left out, but all of the samples.
    place.rebuild("r.csv", "corpus", "from-text").assert().success();
    let (a, b) = (data(&place.at("built")), data(&place.at("from-text")));
    for name in a.keys().filter(|name| name.starts_with("images")) {
        assert!(a[name] == b[name], "{} differs", name.display());
    }
    let samples = |at: &str| Manifest::read(&place.at(at)).expect("reads").samples;
    assert_eq!(samples("built"), samples("from-text"));

    let again = place.rebuild("r.parquet", "corpus", "rebuilt").assert().success();
    let said = String::from_utf8_lossy(&again.get_output().stdout).into_owned();
    assert!(said.contains("already done"), "{said}");
    // Another data set's recipe does not take its place.
    let mut other = ncaers();
    other.arg("recipe").arg(place.at("from-text")).arg("--out").arg(place.at("r.csv"));
    assert!(stderr_of(&mut other, 1).contains("is not replaced"));
}

/// One's own copy: renamed, one file missing, one with other bytes around the same pictures, one
/// encoded anew.
#[test]
fn every_sample_of_another_copy_ends_in_its_class() {
    let place = Place::new();
    let copy = place.at("copy");
    fs::create_dir_all(copy.join("some/where")).expect("folder");
    let built = Manifest::read(&place.at("built")).expect("reads");
    let used: BTreeSet<&str> = built.samples.iter().map(|s| &*s.clip_id).collect();
    let of = |clip: &str| built.samples.iter().filter(|s| s.clip_id == clip).count();
    let (missing, padded, anew) = ("train/Anger/0002", "train/Fear/0002", "test/Fear/0001");
    assert!([missing, padded, anew].iter().all(|c| used.contains(c)), "{used:?}");
    for (k, clip) in built.clips.iter().enumerate().filter(|(_, c)| c.clip_id != missing) {
        let from = place.at("corpus").join(&clip.path);
        let ending = from.extension().expect("ending").to_string_lossy().into_owned();
        // Names tell nothing, not even that it is a clip.
        let to = match k % 2 == 0 && clip.clip_id != anew {
            true => copy.join(format!("some/where/{k}")),
            false => copy.join(format!("some/where/{k}.{ending}")),
        };
        let mut bytes = fs::read(&from).expect("read");
        if clip.clip_id == padded {
            bytes.extend(b"JUNK\x04\0\0\0abcd");
        }
        fs::write(&to, bytes).expect("write");
        if clip.clip_id == anew {
            write(&to, &ClipFormat { quality: 5, ..small() }, 60, 8);
            assert_ne!(fs::read(&to).expect("read"), fs::read(&from).expect("read"));
        }
    }
    let strict = place.rebuild("r.parquet", "copy", "strict").assert().code(1);
    let said = String::from_utf8_lossy(&strict.get_output().stdout).into_owned();
    assert!(said.contains("--allow-substitutes would take"), "{said}");
    let found = Manifest::read(&place.at("strict")).expect("reads");
    let reasons = |m: &Manifest, clip: &str| -> Vec<String> {
        let mut all: Vec<String> = m
            .ledger
            .iter()
            .filter(|e| e.kind == LedgerKind::Sample && e.id.starts_with(clip))
            .filter(|e| !built.ledger.contains(e))
            .map(|e| e.reason.clone())
            .collect();
        all.dedup();
        all
    };
    assert_eq!(reasons(&found, missing), ["missing_clip"]);
    assert_eq!(reasons(&found, padded), Vec::<String>::new(), "same pixels, same bytes");
    assert_eq!(reasons(&found, anew), ["missing_clip"]);
    assert_eq!(found.samples.len(), built.samples.len() - of(missing) - of(anew));
    ncaers().arg("verify").arg(place.at("strict")).assert().success();

    let mut loose = place.rebuild("r.parquet", "copy", "loose");
    loose.args(["--allow-substitutes", "--allow-missing"]).assert().success();
    let found = Manifest::read(&place.at("loose")).expect("reads");
    assert_eq!(reasons(&found, anew), ["substitute"]);
    assert_eq!(found.samples.len(), built.samples.len() - of(missing));
    let row = found.clips.iter().find(|c| c.clip_id == anew).expect("row");
    assert!(row.path.starts_with("some/where/"), "{}", row.path);
    ncaers().arg("verify").arg(place.at("loose")).assert().success();
    let different = ncaers().arg("diff").arg(place.at("built")).arg(place.at("loose")).assert();
    let said = String::from_utf8_lossy(&different.code(3).get_output().stdout).into_owned();
    assert!(said.contains(&format!("{:8}  samples removed", of(missing))), "{said}");
    assert!(said.contains(&format!("{:8}  other pixels", of(anew))), "{said}");
}

#[test]
fn killed_rebuilds_continue_to_the_same_bytes() {
    let place = Place::new();
    place.rebuild("r.parquet", "corpus", "whole").assert().success();
    for after in [0, 2, 5] {
        let out = place.at(&format!("killed-{after}"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_ncaers"))
            .arg("rebuild")
            .arg(place.at("r.parquet"))
            .arg("--corpus")
            .arg(place.at("corpus"))
            .args(["--workers", "1", "--out"])
            .arg(&out)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let lines = || {
            let text = fs::read_to_string(out.join("rebuilt.jsonl"));
            text.map(|t| t.lines().count()).ok()
        };
        // A rebuild that is faster than this loop is a finished one, and as good.
        while child.try_wait().expect("asked").is_none() && lines().is_none_or(|n| n < after) {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().expect("ended");
        place.rebuild("r.parquet", "corpus", &format!("killed-{after}")).assert().success();
        assert_same_data(&place.at("whole"), &out);
    }
}

/// Whatever was written when `recipe` was killed, the next one ends the same; what is another's stays.
#[test]
fn a_killed_recipe_is_taken_up() {
    let place = Place::new();
    let names = ["r.parquet", "r.csv", "r.croissant.json"];
    let read = |name: &str| fs::read(place.at(name)).ok();
    let whole = names.map(read);
    let again = || {
        let mut recipe = ncaers();
        recipe.arg("recipe").arg(place.at("built")).arg("--out").arg(place.at("r"));
        recipe
    };
    for written in 0..=names.len() {
        for name in &names[written..] {
            fs::remove_file(place.at(name)).expect("removes");
        }
        again().assert().success();
        assert!(names.map(read) == whole, "after {written} files");
    }
    fs::remove_file(place.at("r.parquet")).expect("removes");
    assert!(stderr_of(&mut again(), 1).contains("r.croissant.json is there already"));
    fs::write(place.at("r.csv"), "mine").expect("writes");
    assert!(stderr_of(&mut again(), 1).contains("r.csv is there already"));
    assert_eq!((read("r.parquet"), read("r.csv")), (None, Some(b"mine".to_vec())));
}

#[test]
fn hostile_recipes_are_refused_with_one_line() {
    let place = Place::new();
    let text = fs::read_to_string(place.at("r.csv")).expect("text");
    let refused = |change: &dyn Fn(&str) -> String, words: &str| {
        fs::write(place.at("bad.csv"), change(&text)).expect("write");
        let said = stderr_of(&mut place.rebuild("bad.csv", "corpus", "bad"), 1);
        assert!(said.contains(words) && said.trim().lines().count() == 1, "{words}: {said}");
        assert!(!place.at("bad").exists(), "nothing is written");
    };
    let path = "train/Anger/0001.avi";
    assert!(text.contains(path));
    refused(&|t| t.replace(path, "../../secret.avi"), "leaves");
    refused(&|t| t.replace(path, "/etc/passwd"), "leaves");
    refused(&|t| t.replacen("# {", "# ", 1), "metadata");
    refused(&|t| t.lines().take(2).map(|l| format!("{l}\n")).collect::<String>() + "a\n", "line 3");
    let row = text.lines().nth(2).expect("a row").to_owned();
    let fields: Vec<&str> = row.split(',').collect();
    let with = |k: usize, value: &str| {
        let mut fields = fields.clone();
        fields[k] = value;
        fields.join(",")
    };
    refused(&|t| t.replacen(&row, &with(5, "1000000"), 1), "outside its part");
    refused(&|t| t.replacen(&row, &with(5, "99999999999999999999"), 1), "out of range");
    refused(&|t| t.replacen(&row, &with(16, "zz"), 1), "clip_sha256");
    refused(&|t| t.replacen(&row, &format!("{row}\n{row}"), 1), "twice");
    // The digest of nobody's file: the one at the path has the recipe's pixels, and is as good.
    fs::write(place.at("bad.csv"), text.replace(fields[16], &"0".repeat(32))).expect("write");
    place.rebuild("bad.csv", "corpus", "other").assert().success();
}

/// All text that a folder's files hold, Parquet by its rows.
fn mentions(folder: &Path, clip: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes) in promised(folder) {
        let shown = name.to_string_lossy().into_owned();
        // The tombstone is there, and small pages are stored as they are.
        if shown == "ledger.parquet" {
            continue;
        }
        if shown.contains(clip) || String::from_utf8_lossy(&bytes).contains(clip) {
            found.push(shown);
        }
    }
    let m = Manifest::read(folder).expect("reads");
    found.extend(
        m.samples.iter().filter(|s| format!("{s:?}").contains(clip)).map(|s| s.sample_id.clone()),
    );
    found.extend(
        m.clips.iter().filter(|c| format!("{c:?}").contains(clip)).map(|c| c.clip_id.clone()),
    );
    found.extend(
        m.ledger.iter().filter(|e| format!("{e:?}").contains(clip)).map(|e| e.reason.clone()),
    );
    let pixels = manifest::read_pixels(folder).expect("reads");
    found.extend(pixels.into_iter().filter(|p| p.sample_id.contains(clip)).map(|p| p.sample_id));
    found
}

#[test]
fn a_withdrawn_clip_leaves_a_tombstone_and_nothing_else() {
    let place = Place::new();
    let (clip, built) = ("train/Fear/0001", place.at("built"));
    let before = Manifest::read(&built).expect("reads");
    let mut pack = ncaers();
    pack.arg("pack").arg(&built).arg("--out").arg(place.at("pack")).assert().success();
    let others = |folder: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = promised(folder);
        all.retain(|name, _| {
            name.starts_with("images") && !name.to_string_lossy().contains("Fear/0001")
        });
        all
    };
    let pictures = others(&built);
    let mut audit = ncaers();
    audit.arg("audit").arg(&built).arg("--out").arg(place.at("audit")).assert().success();
    // Nobody's file is touched, nor is it passed over in silence.
    fs::write(built.join("mine.txt"), format!("look at {clip} again")).expect("write");
    let mut withdraw = ncaers();
    withdraw.args(["withdraw", clip, "--from"]).arg(&built).arg(place.at("pack"));
    let said = withdraw.arg(place.at("audit")).assert().success();
    let said = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    assert!(said.contains("still named in mine.txt"), "{said}");
    fs::remove_file(built.join("mine.txt")).expect("one's own");
    for (name, bytes) in promised(&place.at("audit")) {
        assert!(!String::from_utf8_lossy(&bytes).contains(clip), "{}", name.display());
    }
    let after = Manifest::read(&built).expect("reads");
    assert!(others(&built) == pictures, "other pictures keep their bytes");
    let found = mentions(&built, clip);
    assert_eq!(found, ["withdrawn"], "the ledger's parquet pages are compressed, its rows are not");
    let kept = |m: &Manifest| -> Vec<_> {
        m.samples.iter().filter(|s| s.clip_id != clip).cloned().collect()
    };
    assert_eq!(kept(&before), after.samples);
    ncaers().arg("verify").arg(&built).assert().success();
    let train = fs::read(place.at("pack").join("train.safetensors")).expect("read");
    let length = u64::from_le_bytes(train[..8].try_into().expect("eight")) as usize;
    let header = String::from_utf8_lossy(&train[8..8 + length]).into_owned();
    assert!(!header.contains(clip) && header.contains("train/Anger/0001"), "{header}");

    // The same from the start.
    fs::write(place.at("list"), format!("# taken back\n{clip}\n")).expect("write");
    let mut without = build(&place.at("corpus"), &place.at("without"));
    without.arg("--without").arg(place.at("list")).assert().success();
    assert_eq!(mentions(&place.at("without"), clip), ["withdrawn"]);
    ncaers().arg("verify").arg(place.at("without")).assert().success();

    let mut nobody = ncaers();
    nobody.args(["withdraw", "train/Fear/9999", "--from"]).arg(&built);
    assert!(stderr_of(&mut nobody, 1).contains("train/Fear/9999"));
    ncaers().args(["withdraw", "--from"]).arg(&built).assert().code(2);
}

/// Whatever was written when a withdrawal was killed, the next one ends as if nothing had been.
#[test]
fn an_interrupted_withdrawal_is_taken_up() {
    let place = Place::new();
    let (clip, whole) = ("train/Anger/0001", promised(&place.at("built")));
    let clips = Manifest::read(&place.at("built")).expect("reads").clips;
    let path = clips.iter().find(|c| c.clip_id == clip).expect("the clip").path.clone();
    let again = |state: &BTreeMap<PathBuf, Vec<u8>>, word: &str| {
        for (name, bytes) in state {
            let path = place.at("built").join(name);
            fs::create_dir_all(path.parent().expect("folder")).expect("folder");
            fs::write(path, bytes).expect("write");
        }
        let mut withdraw = ncaers();
        withdraw.args(["withdraw", word, "--from"]).arg(place.at("built")).assert().success();
        promised(&place.at("built"))
    };
    let done = again(&BTreeMap::new(), clip);
    let changed: Vec<&PathBuf> = whole.keys().filter(|k| done.get(*k) != whole.get(*k)).collect();
    assert!(changed.len() >= 6, "{changed:?}");
    // Files in the order in which they are changed: the first k as they end, the others as they began.
    let rank = |name: &Path| match &*name.to_string_lossy() {
        ".ncaers-files" => 1,
        "pixels.parquet" => 2,
        "clips.parquet" => 3,
        "ledger.parquet" => 4,
        "samples.parquet" => 5,
        name if name.starts_with("images") => 0,
        _ => 6,
    };
    for reached in 0..=6 {
        let mut state = done.clone();
        let old = changed.iter().filter(|name| rank(name) >= reached);
        state.extend(old.map(|name| ((*name).clone(), whole[*name].clone())));
        // By its path, whether or not a row tells it any more.
        let ended = again(&state, &path);
        for (name, bytes) in &done {
            assert!(ended.get(name) == Some(bytes), "{} after {reached}", name.display());
        }
        assert_eq!(ended.len(), done.len(), "after {reached}");
    }
}

/// A group keeps its name when the clip goes that gave it.
#[test]
fn groups_keep_their_names() {
    let place = Place::new();
    let keep = place.at("keep");
    build(&place.at("corpus"), &keep).args(["--on-leak", "keep"]).assert().success();
    let mut withdraw = ncaers();
    withdraw.args(["withdraw", "test/Fear/copy.avi", "--from"]).arg(&keep).assert().success();
    let m = Manifest::read(&keep).expect("reads");
    let row = m.clips.iter().find(|c| c.clip_id == "train/Anger/0001").expect("row");
    assert_eq!(row.group_id, "test/Fear/copy");
    ncaers().arg("verify").arg(&keep).assert().success();
}
