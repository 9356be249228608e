#!/usr/bin/env bash
# just bench-gpu [PYTHON=python] [DEVICE=cuda] [BATCHES=4,64,256,1024] [PRECISIONS=bf16,tf32] [STEPS=100] [ROUNDS=1] [MODELS=glamor]
#                [COMPILE=default,reduce-overhead,max-autotune] [LIMIT=90] [BUDGET=570] [PACK=folder] [EXPERIMENT=file] [SEEDS=3] [OUT=file]
# In one call of BUDGET seconds: training speed beside PyTorch, eager and torch.compile in every mode named (each of which may take LIMIT
# seconds), and the joint stage of the paper (60 epochs over 18,555 samples) reckoned from it at the paper's batch of 4 and at the fastest.
# With PACK, a pack of pictures, and BUDGET=3600 also whole epochs of it beside the resident rate, and the accuracy curves of fp32 and bf16
# over SEEDS seeds of EXPERIMENT. PYTHON needs torch 2.11.0 with CUDA.
# DEVICE=cpu BATCHES=4 PRECISIONS=fp32 STEPS=5 COMPILE= tries the script itself on a machine without a GPU.
set -euo pipefail
ncaers=${NCAERS:?run this through just bench-gpu}
here=$(cd "$(dirname "$0")/.." && pwd)
PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cuda} BATCHES=${BATCHES:-4,64,256,1024} PRECISIONS=${PRECISIONS:-bf16,tf32} STEPS=${STEPS:-100} ROUNDS=${ROUNDS:-1}
MODELS=${MODELS:-glamor} COMPILE=${COMPILE-default,reduce-overhead,max-autotune} LIMIT=${LIMIT:-90} BUDGET=${BUDGET:-570}
PACK=${PACK:-} EXPERIMENT=${EXPERIMENT:-$here/experiments/curves.toml} SEEDS=${SEEDS:-3} OUT=${OUT:-}
. "$(dirname "${BASH_SOURCE[0]}")/words.sh"
read_variables bench-gpu "PYTHON DEVICE BATCHES PRECISIONS STEPS ROUNDS MODELS COMPILE LIMIT BUDGET PACK EXPERIMENT SEEDS OUT" "$@"
"$PYTHON" -c 'import torch' 2>/dev/null ||
  { echo "bench-gpu: $PYTHON has no torch; name one that has with PYTHON=" >&2; exit 1; }
"$ncaers" bench train --model glamor --batch 4 --steps 1 --device "$DEVICE" >/dev/null ||
  { echo "bench-gpu: ncaers cannot train on $DEVICE here" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

speed() {
  "$PYTHON" "$here/benches/compare.py" --ncaers "$ncaers" --python "$PYTHON" --device "$DEVICE" --models "$MODELS" --precisions "$PRECISIONS" \
    --batches "$BATCHES" --steps "$STEPS" --rounds "$ROUNDS" --compile "$COMPILE" --compile-limit "$LIMIT" --budget "$BUDGET" --json "$work/raw"
  echo
  "$PYTHON" - "$work/raw" <<'PY'
import json, os, sys
runs = [json.loads(line) for line in open(sys.argv[1])] if os.path.exists(sys.argv[1]) else []
ours = [r for r in runs if r["name"] == "ncaers" and r["model"] == "glamor"]
fastest = max(ours, key=lambda r: r["images_per_s"], default=None)
papers = max((r for r in ours if r["batch"] == 4), key=lambda r: r["images_per_s"], default=None)
for what, run, aim in (("the paper's batch", papers, 180), ("the fastest", fastest, 60)):
    if run: print(f"60 joint epochs over 18,555 samples at batch {run['batch']} ({what}) in {run['precision']}, on {run['device']}: {60 * 18555 / run['images_per_s']:.0f} s reckoned, validation left out; the aim on an H100 is {aim} s")
PY
}

# A real pack: whole epochs of it, held on the device and streamed, then what bf16 does to the accuracy.
real() {
  local batch=${BATCHES%%,*} precision how
  for precision in ${PRECISIONS//,/ }; do
    for how in "" --stream; do
      "$ncaers" bench train --model glamor --batch "$batch" --precision "$precision" --device "$DEVICE" --steps "$STEPS" \
        --rounds "$ROUNDS" --pack "$PACK" $how 2>/dev/null | sed "s/^/batch $batch $precision $how /"
    done
  done
  echo
  "$PYTHON" "$here/benches/curves.py" "$EXPERIMENT" --ncaers "$ncaers" --out "$work/curves" --seeds "$SEEDS" --device "$DEVICE" \
    -- --set "data.pack=$PACK" || echo "bench-gpu: the curves of fp32 and bf16 are not equal within the noise" >&2
}

told() { speed; if [ -n "$PACK" ]; then echo; real; fi; }
told | tee "${OUT:-/dev/null}"
