#!/usr/bin/env bash
# just bench-gpu [PYTHON=python] [DEVICE=cuda] [BATCHES=64,256,1024] [STEPS=100] [ROUNDS=3] [MODELS=glamor] [OUT=file]
# Training speed beside PyTorch, eager and torch.compile, in one call; then the joint stage of the paper
# (60 epochs over 18,555 samples) reckoned from it. PYTHON needs torch 2.11.0 with CUDA.
# DEVICE=cpu BATCHES=4 STEPS=5 ROUNDS=1 tries the script itself on a machine without a GPU.
set -euo pipefail
ncaers=${NCAERS:?run this through just bench-gpu}
PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cuda} BATCHES=${BATCHES:-64,256,1024} STEPS=${STEPS:-100}
ROUNDS=${ROUNDS:-3} MODELS=${MODELS:-glamor} OUT=${OUT:-}
for word in "$@"; do
  case $word in
    PYTHON=* | DEVICE=* | BATCHES=* | STEPS=* | ROUNDS=* | MODELS=* | OUT=*) declare "$word" ;;
    *) echo "bench-gpu: unknown word $word; known: PYTHON=, DEVICE=, BATCHES=, STEPS=, ROUNDS=, MODELS=, OUT=" >&2; exit 2 ;;
  esac
done
"$PYTHON" -c 'import torch' 2>/dev/null ||
  { echo "bench-gpu: $PYTHON has no torch; name one that has with PYTHON=" >&2; exit 1; }
"$ncaers" bench train --model glamor --batch 4 --steps 1 --device "$DEVICE" >/dev/null ||
  { echo "bench-gpu: ncaers cannot train on $DEVICE here" >&2; exit 1; }
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT
told=$("$PYTHON" "$(dirname "$0")/../benches/compare.py" --ncaers "$ncaers" --python "$PYTHON" --device "$DEVICE" \
  --models "$MODELS" --batches "$BATCHES" --steps "$STEPS" --rounds "$ROUNDS" --compile --json "$raw" | tee /dev/stderr)
told+=$'\n\n'$("$PYTHON" - "$raw" <<'PY'
import json, sys
runs = [json.loads(line) for line in open(sys.argv[1])]
best = max((r for r in runs if r["name"] == "ncaers" and r["model"] == "glamor"), key=lambda r: r["images_per_s"], default=None)
if best:
    seconds = 60 * 18555 / best["images_per_s"]
    print(f"60 joint epochs over 18,555 samples at batch {best['batch']} in {best['precision']}: {seconds:.0f} s reckoned, validation left out; the aim is 60 s")
PY
)
echo "${told##*$'\n'}" >&2
if [ -n "$OUT" ]; then printf '%s\n' "$told" >"$OUT"; fi
