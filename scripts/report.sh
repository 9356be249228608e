#!/usr/bin/env bash
# just report [RUNS=folder] [OUT=folder] [flags of `ncaers report`]
set -euo pipefail
ncaers=${NCAERS:?run this through just report}
RUNS=${RUNS:-data/demo/runs} OUT=${OUT:-data/demo/report-clean}
. "$(dirname "${BASH_SOURCE[0]}")/words.sh"
read_words report "RUNS OUT" "$@"
exec "$ncaers" report "$RUNS" --out "$OUT" "${flags[@]}"
