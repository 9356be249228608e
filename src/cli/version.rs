//! Which program this is: release, commit and kind of build.
use std::sync::LazyLock;

/// What `--version` prints after the name, such as `0.1.0 (a099680, release, FFmpeg inside)`.
pub(super) fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        // `just` hands the commit over; a plain `cargo build` has none.
        let commit = option_env!("NCAERS_COMMIT").filter(|commit| !commit.is_empty());
        let parts = [
            commit.map_or("no commit", |commit| commit.get(..7).unwrap_or(commit)),
            if cfg!(debug_assertions) { "debug" } else { "release" },
            if cfg!(feature = "torch") { "LibTorch" } else { "without LibTorch" },
            if cfg!(feature = "wheel") { "FFmpeg inside" } else { "FFmpeg shared" },
        ];
        format!("{} ({})", env!("CARGO_PKG_VERSION"), parts.join(", "))
    });
    &TEXT
}
