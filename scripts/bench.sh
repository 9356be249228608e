#!/usr/bin/env bash
# just bench [CORPUS=folder]: the speed of every part on this machine, one JSON line each; the
# demo's clips and pictures when nothing is named. PyAV is measured beside where python3 has it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CORPUS=data/demo/corpus
. "scripts/words.sh"
read_variables bench "CORPUS" "$@"
[ -d "$CORPUS" ] || { echo "bench: no folder $CORPUS; run \`./justw demo\` once or name CORPUS=folder" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The workers' start (LibTorch is loaded) is measured by a corpus of one clip and can be taken off.
first=$(find "$CORPUS" -type f \( -name '*.avi' -o -name '*.mp4' \) | sort | sed -n 1p)
mkdir -p "$work/one/Anger" && cp "$first" "$work/one/Anger/"
"$NCAERS" --json bench build --corpus "$work/one"
"$NCAERS" --json bench build --corpus "$CORPUS"
"$NCAERS" --json bench build --corpus "$CORPUS" --fast
if python3 -c 'import av, PIL' 2>/dev/null; then
  python3 benches/peers/pyav_build.py "$CORPUS" "$work/peer"
  python3 benches/peers/pyav_build.py "$CORPUS" "$work/peer" --to-last
else
  echo 'bench: python3 has no PyAV and Pillow (pip install av pillow): no peer is measured' >&2
fi
"$NCAERS" build --corpus "$CORPUS" --out "$work/pictures" --seed 1 --detector none >/dev/null
"$NCAERS" --json bench detect "$work/pictures/images" --rounds 1
for precision in fp32 bf16; do
  "$NCAERS" --json bench train --model glamor --batch 32 --precision $precision --steps 20
done
