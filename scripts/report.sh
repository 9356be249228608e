#!/usr/bin/env bash
# just report [RUNS=folder] [OUT=folder] [flags of `ncaers report`]
set -euo pipefail
ncaers=${NCAERS:?run this through just report}
RUNS=${RUNS:-data/demo/runs} OUT=${OUT:-data/demo/report-clean}
flags=()
for word in "$@"; do
  case $word in
    RUNS=*) RUNS=${word#RUNS=} ;;
    OUT=*) OUT=${word#OUT=} ;;
    [A-Z]*=*) echo "report: unknown variable ${word%%=*}; known: RUNS, OUT" >&2; exit 2 ;;
    *) flags+=("$word") ;;
  esac
done
exec "$ncaers" report "$RUNS" --out "$OUT" "${flags[@]}"
