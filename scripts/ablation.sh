#!/usr/bin/env bash
# just ablation [GRID=file] [MANIFEST=folder] [PACK=folder] [RUNS=folder] [OUT=folder] [flags of `ncaers ablation`]
# Without words: the three models of the demo on the demo's data, made first when it is missing.
set -euo pipefail
ncaers=${NCAERS:?run this through just ablation}
GRID=${GRID:-experiments/demo.toml} MANIFEST=${MANIFEST:-} PACK=${PACK:-} RUNS=${RUNS:-} OUT=${OUT:-}
flags=()
for word in "$@"; do
  case $word in
    GRID=*) GRID=${word#GRID=} ;;
    MANIFEST=*) MANIFEST=${word#MANIFEST=} ;;
    PACK=*) PACK=${word#PACK=} ;;
    RUNS=*) RUNS=${word#RUNS=} ;;
    OUT=*) OUT=${word#OUT=} ;;
    [A-Z]*=*) echo "ablation: unknown variable ${word%%=*}; known: GRID, MANIFEST, PACK, RUNS, OUT" >&2; exit 2 ;;
    *) flags+=("$word") ;;
  esac
done
name=$(basename "$GRID" .toml)
if [ -z "$MANIFEST" ]; then
  MANIFEST=data/demo/manifest PACK=${PACK:-data/demo/pack}
  echo "ablation: no MANIFEST=folder given, so the synthetic demo corpus is used; it says nothing about real data" >&2
  "$ncaers" demo-corpus --out data/demo/corpus --seed 1
  "$ncaers" build --corpus data/demo/corpus --out "$MANIFEST" --seed 1
fi
PACK=${PACK:-$(dirname "$MANIFEST")/pack}
"$ncaers" pack "$MANIFEST" --out "$PACK" --margin 0.1
exec "$ncaers" ablation "$GRID" --out "${RUNS:-data/$name/runs}" --report "${OUT:-reports/$name}" \
  --set "data.manifest=$MANIFEST" --set "data.pack=$PACK" "${flags[@]}"
