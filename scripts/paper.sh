#!/usr/bin/env bash
# just paper [CAER=folder] [CAERS=folder] [WEIGHTS=folder] [WILD=folder] [SEEDS=1,2,3] [OUT=folder] [flags of `ncaers paper`]
# Both data sets, every row of Tables 2, 3, 4, 6 and 7, one report.
set -euo pipefail
ncaers=${NCAERS:?run this through just paper}
CAER=${CAER:-} CAERS=${CAERS:-} WEIGHTS=${WEIGHTS:-} WILD=${WILD:-} SEEDS=${SEEDS:-} OUT=${OUT:-data/paper}
. "$(dirname "${BASH_SOURCE[0]}")/words.sh"
read_words paper "CAER CAERS WEIGHTS WILD SEEDS OUT" "$@"
[ -z "$CAER" ] || flags+=(--caer "$CAER")
[ -z "$CAERS" ] || flags+=(--caer-s "$CAERS")
[ -z "$WEIGHTS" ] || flags+=(--weights "$WEIGHTS")
[ -z "$WILD" ] || flags+=(--wild "$WILD")
[ -z "$SEEDS" ] || flags+=(--seeds "$SEEDS")
exec "$ncaers" paper --out "$OUT" "${flags[@]}"
