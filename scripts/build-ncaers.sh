#!/usr/bin/env bash
# just build-ncaers [CAER=folder] [OUT=folder] [SEED=n] [flags of `ncaers build`]
set -euo pipefail
ncaers=${NCAERS:?run this through just build-ncaers}
CAER=${CAER:-} OUT=${OUT:-} SEED=${SEED:-1}
. "$(dirname "${BASH_SOURCE[0]}")/words.sh"
read_words build-ncaers "CAER OUT SEED" "$@"
if [ -z "$CAER" ]; then
  CAER=data/demo/corpus OUT=${OUT:-data/demo/manifest}
  echo "build-ncaers: no CAER=folder given, so the synthetic demo corpus is used; it says nothing about real data" >&2
  "$ncaers" demo-corpus --out "$CAER" --seed 1
fi
exec "$ncaers" build --corpus "$CAER" --out "${OUT:-manifests/ncaers}" --seed "$SEED" "${flags[@]}"
