#!/usr/bin/env bash
# just fuzz TARGET [SECONDS=300]: whatever bytes for one of the readers of files that others made,
# more and more of them. Targets: mmod_weights, pickle, mpeg4_headers, box_lists (fuzz/fuzz_targets)
# and manifests (the whole library, so without coverage: damaged copies of a sound data set).
# Needs `cargo install cargo-fuzz`; any toolchain does, since the readers' unsafe code is none that a
# sanitizer would watch. What was learnt stays in the cache, a crashing file in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${1:?fuzz: name a target: mmod_weights, pickle, mpeg4_headers, box_lists or manifests}
total=${2:-300}
total=${total#SECONDS=}
case $total in *[!0-9]* | '') echo "fuzz: SECONDS=$total is no number" >&2; exit 2 ;; esac
corpus=${NCAERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ncaers}/fuzz/$target
mkdir -p "$corpus"

fuzz() { # corpus folder, longest input, seconds
  RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none "$target" "$1" -- \
    -max_len="$2" -max_total_time="$3" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1
}

mmod_weights() {
  local weights bytes
  weights=$("${NCAERS:?run this through just fuzz}" fetch-mmod)
  mkdir -p "$corpus/small" "$corpus/published"
  cp tests/fixtures/mmod/small.dat "$corpus/small"
  cp "$weights" "$corpus/published"
  for bytes in 100 300 6000 70000 400000 729939; do head -c $bytes "$weights" >"$corpus/published/first-$bytes.dat"; done
  # Half of the time files of a small network, half of it files like the published one.
  fuzz "$corpus/small" 4096 $((total / 2))
  fuzz "$corpus/published" 740000 $((total / 2))
}

if [ "$target" != manifests ]; then
  cargo fuzz --version >/dev/null 2>&1 || { echo 'fuzz: cargo has no fuzz; run cargo install cargo-fuzz' >&2; exit 1; }
fi
case $target in
  mmod_weights) mmod_weights ;;
  pickle | mpeg4_headers | box_lists)
    # Sound beginnings, so that little time goes into finding what such a file looks like.
    cp -r "fuzz/seeds/$target/." "$corpus"
    fuzz "$corpus" 4096 "$total" ;;
  manifests) cargo run --release --locked --example damaged_manifests -- "$total" ;;
  *) echo "fuzz: unknown target '$target' (known: mmod_weights, pickle, mpeg4_headers, box_lists, manifests)" >&2; exit 2 ;;
esac
