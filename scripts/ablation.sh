#!/usr/bin/env bash
# just ablation [GRID=file] [MANIFEST=folder] [PACK=folder] [RUNS=folder] [OUT=folder] [flags of `ncaers ablation`]
# Tables 4, 6 and 7 with Table 5's tests on a manifest of one's own at the paper's size; without one
# Tables 4 and 6 on the synthetic demo corpus, made first when it is missing, at a size for two CPU
# cores.
set -euo pipefail
ncaers=${NCAERS:?run this through just ablation}
GRID=${GRID:-} MANIFEST=${MANIFEST:-} PACK=${PACK:-} RUNS=${RUNS:-} OUT=${OUT:-}
. "$(dirname "${BASH_SOURCE[0]}")/words.sh"
read_words ablation "GRID MANIFEST PACK RUNS OUT" "$@"
inputs=face,context_masked,context_visible
case $GRID in *table2.toml | *table3.toml) inputs=face,context_masked,image,face_224 ;; esac
if [ -z "$MANIFEST" ]; then
  GRID=${GRID:-experiments/ablation-demo.toml}
  MANIFEST=data/demo/manifest PACK=${PACK:-data/demo/pack-ablation}
  # One thread a run: two at a time fill two cores.
  flags=(--jobs 2 "${flags[@]}")
  echo "ablation: no MANIFEST=folder given, so the synthetic demo corpus is used; it says nothing about real data" >&2
  "$ncaers" demo-corpus --out data/demo/corpus --seed 1
  "$ncaers" build --corpus data/demo/corpus --out "$MANIFEST" --seed 1
  "$ncaers" pack "$MANIFEST" --out "$PACK" --margin 0.1 --inputs "$inputs"
fi
GRID=${GRID:-experiments/ablation.toml}
name=$(basename "$GRID" .toml)
if [ -z "$PACK" ]; then
  PACK=$(dirname "$MANIFEST")/pack-$name
  "$ncaers" pack "$MANIFEST" --out "$PACK" --inputs "$inputs"
fi
exec "$ncaers" ablation "$GRID" --out "${RUNS:-data/$name/runs}" --report "${OUT:-reports/$name}" \
  --set "data.manifest=$MANIFEST" --set "data.pack=$PACK" "${flags[@]}"
