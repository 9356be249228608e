#!/usr/bin/env bash
# just build-ncaers [CAER=folder] [OUT=folder] [SEED=n] [flags of `ncaers build`]
set -euo pipefail
ncaers=${NCAERS:?run this through just build-ncaers}
CAER=${CAER:-} OUT=${OUT:-} SEED=${SEED:-1}
flags=()
for word in "$@"; do
  case $word in
    CAER=*) CAER=${word#CAER=} ;;
    OUT=*) OUT=${word#OUT=} ;;
    SEED=*) SEED=${word#SEED=} ;;
    *=*) echo "build-ncaers: unknown variable ${word%%=*}; known: CAER, OUT, SEED" >&2; exit 2 ;;
    *) flags+=("$word") ;;
  esac
done
if [ -z "$CAER" ]; then
  CAER=data/demo/corpus OUT=${OUT:-data/demo/manifest}
  echo "build-ncaers: no CAER=folder given, so the synthetic demo corpus is used; it says nothing about real data" >&2
  "$ncaers" demo-corpus --out "$CAER" --seed 1
fi
exec "$ncaers" build --corpus "$CAER" --out "${OUT:-manifests/ncaers}" --seed "$SEED" "${flags[@]}"
