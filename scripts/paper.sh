#!/usr/bin/env bash
# just paper [CAER=folder] [CAERS=folder] [WEIGHTS=folder] [WILD=folder] [SEEDS=1,2,3] [OUT=folder] [flags of `ncaers paper`]
# Both data sets, every row of Tables 2, 3, 4, 6 and 7, one report.
set -euo pipefail
ncaers=${NCAERS:?run this through just paper}
OUT=${OUT:-data/paper}
flags=()
for word in "$@"; do
  case $word in
    CAER=*) flags+=(--caer "${word#CAER=}") ;;
    CAERS=*) flags+=(--caer-s "${word#CAERS=}") ;;
    WEIGHTS=*) flags+=(--weights "${word#WEIGHTS=}") ;;
    WILD=*) flags+=(--wild "${word#WILD=}") ;;
    SEEDS=*) flags+=(--seeds "${word#SEEDS=}") ;;
    OUT=*) OUT=${word#OUT=} ;;
    [A-Z]*=*) echo "paper: unknown variable ${word%%=*}; known: CAER, CAERS, WEIGHTS, WILD, SEEDS, OUT" >&2; exit 2 ;;
    *) flags+=("$word") ;;
  esac
done
exec "$ncaers" paper --out "$OUT" "${flags[@]}"
