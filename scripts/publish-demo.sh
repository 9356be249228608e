#!/usr/bin/env bash
# just publish-demo: the demo's report and tables as they are committed, from the runs in data/demo,
# and their numbers in README.md. Says on which processor they were made, since training repeats its
# bits on one machine only.
set -euo pipefail
ncaers=${NCAERS:?run this through just publish-demo}
data=${DATA:-data/demo}
[ -d "$data/twin/runs" ] || { echo "publish-demo: no runs in $data; run \`just demo\` first" >&2; exit 1; }
# A committed report is replaced whole; the program itself replaces only what it wrote.
rm -rf reports/demo manifests/demo
"$ncaers" report "clean set=$data/runs" "leaky twin=$data/twin/runs" --audit "leaky twin=$data/twin/audit" \
  --title "What a leak adds" --max-thumbs 0 --out reports/demo
# The tables and the card of the data set, without its pictures, for whoever wants to see some.
mkdir -p manifests/demo
cp "$data/manifest"/{README.md,croissant.json,clips.parquet,ledger.parquet,samples.parquet} manifests/demo/
scripts/readme.sh
