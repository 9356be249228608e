#!/usr/bin/env bash
# just fuzz-mmod [SECONDS=300]: damaged weights files for the reader of dlib's detector, more and
# more of them; half of the time files of a small network, half of it files like the published one.
# Needs `cargo install cargo-fuzz`; any toolchain does, since the reader has no unsafe code for a
# sanitizer to watch. What was learnt stays in the cache, a crashing file in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
total=300
for word in "$@"; do
  case $word in
    SECONDS=*) total=${word#*=} ;;
    *) echo "fuzz-mmod: unknown word '$word' (known: SECONDS=n)" >&2; exit 2 ;;
  esac
done
cargo fuzz --version >/dev/null 2>&1 || { echo 'fuzz-mmod: cargo has no fuzz; run cargo install cargo-fuzz' >&2; exit 1; }
weights=$("${NCAERS:?run this through just fuzz-mmod}" fetch-mmod)
corpus=${NCAERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ncaers}/fuzz/mmod_weights
mkdir -p "$corpus/small" "$corpus/published"
cp tests/fixtures/mmod/small.dat "$corpus/small"
cp "$weights" "$corpus/published"
for bytes in 100 300 6000 70000 400000 729939; do head -c $bytes "$weights" >"$corpus/published/first-$bytes.dat"; done
fuzz() {
  RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none mmod_weights "$corpus/$1" -- \
    -max_len="$2" -max_total_time=$((total / 2)) -timeout=5 -rss_limit_mb=1024 -print_final_stats=1
}
fuzz small 4096
fuzz published 740000
