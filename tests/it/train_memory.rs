//! `ncaers train` where memory is short: one line with the batch that fits.
#![cfg(all(feature = "torch", target_os = "linux"))]

use crate::common::runs;
use std::{
    os::unix::process::CommandExt,
    process::{Command, Output},
};

use runs::World;

/// Wide first layers: about 200 MiB per sample and step.
const WIDE: [&str; 2] = ["model.widths=[1024, 8, 8, 8, 8]", "train.stage1_epochs=0"];

/// The program on its experiment where it may not take more than `limit` bytes of addresses.
fn limited(world: &World, out: &str, limit: u64, settings: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ncaers"));
    command.arg("train").arg(world.path("x.toml")).arg("--out").arg(world.path(out));
    command.args(settings.iter().flat_map(|setting| ["--set", setting]));
    // SAFETY: setrlimit may stand between fork and exec.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            match libc::setrlimit(libc::RLIMIT_AS, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    command.output().unwrap()
}

#[test]
fn a_batch_that_memory_does_not_hold_is_refused_with_the_one_that_fits() {
    let world = World::new();
    let limit = 4 << 30;
    let more = |batch: &'static str| [&WIDE[..], &["train.epochs=1", batch]].concat();
    let refused = limited(&world, "r", limit, &more("train.batch_size=21"));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("a step of 21 samples needs about"), "{told}");
    let advice = told.split("as train.batch_size ").nth(1).unwrap();
    let fits: u32 = advice.split(' ').next().unwrap().parse().unwrap();
    assert!((2..21).contains(&fits), "{told}");
    // What is named does fit, under the same limit.
    let batch: &'static str = format!("train.batch_size={fits}").leak();
    let done = limited(&world, "s", limit, &more(batch));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
