#!/usr/bin/env bash
# The whole main job without data of one's own: synthetic clips -> data set -> three models ->
# report. Finished steps are recognised and skipped, so running it again costs little.
set -euo pipefail
ncaers=${NCAERS:?run this through ./justw demo}
data=${DATA:-data/demo}
report=${REPORT:-reports/demo}
started=$SECONDS

step() {
  echo "== ncaers $* ($((SECONDS - started)) s)" >&2
  "$ncaers" "$@"
}

step demo-corpus --out "$data/corpus" --seed 1
step build --corpus "$data/corpus" --out "$data/manifest" --seed 1
step verify "$data/manifest"
step pack "$data/manifest" --out "$data/pack" --margin 0.1
step ablation experiments/demo.toml --out "$data/runs" --report "$report" --jobs 2 \
  --set "data.manifest=$data/manifest" --set "data.pack=$data/pack"
for run in "$data"/runs/*/run.json; do
  step evaluate "$(dirname "$run")"
done
rm -rf "$data/comparison"
step compare "$data"/runs/*/predictions-test.parquet --out "$data/comparison"

# The tables and the card of the data set, without its pictures, for whoever wants to see some.
mkdir -p manifests/demo
cp "$data/manifest"/{README.md,croissant.json,clips.parquet,ledger.parquet,samples.parquet} manifests/demo/
echo "the report is $report/index.html ($((SECONDS - started)) s in all)" >&2
