#!/usr/bin/env bash
# just bench-gpu [PYTHON=python] [DEVICE=cuda] [BATCHES=64,256,1024] [STEPS=100] [ROUNDS=3] [MODELS=glamor] [LIMIT=600] [PACK=folder]
#                [EXPERIMENT=file] [SEEDS=3] [OUT=file]
# In one call: training speed beside PyTorch, eager and torch.compile (which may take LIMIT seconds); the joint stage of the paper (60 epochs
# over 18,555 samples) reckoned from it; and with PACK, a pack of pictures, whole epochs of it beside the resident rate, and the accuracy
# curves of fp32 and bf16 over SEEDS seeds of EXPERIMENT. PYTHON needs torch 2.11.0 with CUDA.
# DEVICE=cpu BATCHES=4 STEPS=5 ROUNDS=1 tries the script itself on a machine without a GPU.
set -euo pipefail
ncaers=${NCAERS:?run this through just bench-gpu}
here=$(cd "$(dirname "$0")/.." && pwd)
PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cuda} BATCHES=${BATCHES:-64,256,1024} STEPS=${STEPS:-100} ROUNDS=${ROUNDS:-3}
MODELS=${MODELS:-glamor} LIMIT=${LIMIT:-600} PACK=${PACK:-} EXPERIMENT=${EXPERIMENT:-$here/experiments/curves.toml} SEEDS=${SEEDS:-3} OUT=${OUT:-}
for word in "$@"; do
  case $word in
    PYTHON=* | DEVICE=* | BATCHES=* | STEPS=* | ROUNDS=* | MODELS=* | LIMIT=* | PACK=* | EXPERIMENT=* | SEEDS=* | OUT=*) declare "$word" ;;
    *) echo "bench-gpu: unknown word $word; known: PYTHON=, DEVICE=, BATCHES=, STEPS=, ROUNDS=, MODELS=, LIMIT=, PACK=, EXPERIMENT=, SEEDS=, OUT=" >&2; exit 2 ;;
  esac
done
"$PYTHON" -c 'import torch' 2>/dev/null ||
  { echo "bench-gpu: $PYTHON has no torch; name one that has with PYTHON=" >&2; exit 1; }
"$ncaers" bench train --model glamor --batch 4 --steps 1 --device "$DEVICE" >/dev/null ||
  { echo "bench-gpu: ncaers cannot train on $DEVICE here" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

speed() {
  "$PYTHON" "$here/benches/compare.py" --ncaers "$ncaers" --python "$PYTHON" --device "$DEVICE" --models "$MODELS" \
    --batches "$BATCHES" --steps "$STEPS" --rounds "$ROUNDS" --compile --compile-limit "$LIMIT" --json "$work/raw"
  echo
  "$PYTHON" - "$work/raw" <<'PY'
import json, sys
runs = [json.loads(line) for line in open(sys.argv[1])]
best = max((r for r in runs if r["name"] == "ncaers" and r["model"] == "glamor"), key=lambda r: r["images_per_s"], default=None)
if best:
    seconds = 60 * 18555 / best["images_per_s"]
    print(f"60 joint epochs over 18,555 samples at batch {best['batch']} in {best['precision']}: {seconds:.0f} s reckoned, validation left out; the aim is 60 s")
PY
}

# A real pack: whole epochs of it, held on the device and streamed, then what bf16 does to the accuracy.
real() {
  local batch=${BATCHES%%,*} precision how
  for precision in fp32 bf16; do
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
