# Recipes of ncaers. `./justw RECIPE` installs what a recipe needs first.

set positional-arguments

cache := env("NCAERS_CACHE", env("XDG_CACHE_HOME", env("HOME") / ".cache") / "ncaers")
export LIBTORCH := env("LIBTORCH", cache / "libtorch-2.11.0")
# Outside the clone, so that a second clone compiles only ncaers itself.
export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", cache / "target")
# Runs record the commit of the program that made them.
export NCAERS_COMMIT := `git rev-parse HEAD 2>/dev/null || true`
export NCAERS := CARGO_TARGET_DIR / "release" / "ncaers"

# List the recipes
default:
    @just --list --unsorted

# Compile the program
build:
    cargo build --release --locked

# The whole main job without data of one's own, and what leakage adds: from clips to a report, below data/demo
demo *ARGS: build
    "$NCAERS" demo "$@"

# The program, completions and manual pages below ~/.local: PREFIX=folder
install *ARGS: build
    scripts/install.sh "$@"

# The Python wheel with FFmpeg inside, into dist/: OUT=folder SOURCES=folder of FFmpeg's source packages
wheel *ARGS:
    packaging/wheel/build.sh "$@"

# Install the wheel as an ordinary user would and run its demonstration: WHEEL=file PYTHON=/usr/bin/python3
try-wheel *ARGS:
    packaging/wheel/try.sh "$@"

# Build the data set: CAER=folder of the clips (the demo corpus without it) OUT=folder SEED=n
build-ncaers *ARGS: build
    scripts/build-ncaers.sh "$@"

# Train Tables 4, 6 and 7 (without a manifest: 4 and 6 on the demo corpus) and end in the report with its tests: MANIFEST=folder PACK=folder GRID=file OUT=folder
ablation *ARGS: build
    scripts/ablation.sh "$@"

# All that the paper measures in one report: CAER=clips CAERS=stills WEIGHTS=folder WILD=pictures SEEDS=1,2,3 OUT=folder, --dry-run first
paper *ARGS: build
    scripts/paper.sh "$@"

# The demo's report as it is committed, from the runs in data/demo, and its numbers in the readmes
publish-demo: demo
    scripts/publish-demo.sh

# Render the report of finished runs again: RUNS=folder OUT=folder
report *ARGS: build
    scripts/report.sh "$@"

# Bring the weights of dlib's face detector into the cache, for `--detector mmod` and its tests
fetch-mmod: build
    "$NCAERS" fetch-mmod

# Whatever bytes for a reader of other people's files (needs cargo-fuzz): mmod_weights, pickle, mpeg4_headers, box_lists, manifests; SECONDS=300
fuzz TARGET *ARGS: build
    scripts/fuzz.sh "$@"

# Training speed on the GPU beside PyTorch, eager and compiled: PYTHON=python with torch 2.11.0 BATCHES=64,256,1024
bench-gpu *ARGS: build
    scripts/bench-gpu.sh "$@"

# Put the numbers of the committed reports into README.md and reports/README.md
readme:
    scripts/readme.sh

# The speed of every part on this machine, as JSON lines: CORPUS=folder of clips (the demo's without it)
bench *ARGS: build
    scripts/bench.sh "$@"

# Formatting and clippy; warnings are errors
lint:
    cargo fmt --all --check
    cargo clippy --release --locked --all-targets -- -D warnings
    cargo clippy --release --locked --no-default-features -- -D warnings

# The library's documentation; warnings are errors
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps --lib

# Licences, known vulnerabilities and sources of everything that is linked (needs cargo-deny)
deny:
    scripts/deny.sh

# Changes to the pure modules that no test of the library notices (needs cargo-mutants; hours): FILES such as src/split.rs
mutants *FILES:
    scripts/mutants.sh "$@"

# All tests that need no further system package
test:
    cargo test --release --locked

# The tests of one topic (a file of tests/it), with the environment passed through
test-only NAME *ARGS:
    shift; cargo test --release --locked --test it -- {{ NAME }}:: "$@"

# Tests with a real browser and a real Slurm (started for the test; its part needs root)
test-system:
    scripts/test-tools.sh
    NCAERS_AXE="${NCAERS_AXE:-{{ cache }}/test-tools-1/axe.min.js}" \
      cargo test --release --locked --test it -- --ignored --test-threads=1 browser:: slurm::

# The wheel, built and installed as an ordinary user would, with its demonstration
test-wheel: wheel try-wheel

# The blocks of docs/python.md, with the libraries that they name: NCAERS_PYTHON=python
test-python:
    scripts/test-tools.sh
    NCAERS_PYTHON="${NCAERS_PYTHON:-{{ cache }}/test-tools-1/python/bin/python}" \
      cargo test --release --locked --test it -- --ignored --nocapture python::

# The pages of docs/ as a site in target/site
site:
    mdbook build docs --dest-dir "{{ justfile_directory() }}/target/site"
