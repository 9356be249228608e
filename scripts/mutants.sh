#!/usr/bin/env bash
# just mutants [FILES]: changes to the pure modules that no test of the library notices. Hours for all
# of them (.cargo/mutants.toml lists them); name files to try a part.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo mutants --version >/dev/null 2>&1 || { echo 'mutants: cargo has no mutants; run cargo install cargo-mutants' >&2; exit 1; }
files=()
for file in "$@"; do files+=(--file "$file"); done
# In place of a copy, so that only ncaers is compiled; its folder of results is not kept in git.
exec cargo mutants --in-place --output target "${files[@]}"
