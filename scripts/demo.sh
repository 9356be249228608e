#!/usr/bin/env bash
# The whole main job without data of one's own: synthetic clips -> data set -> three models ->
# report. Finished steps are recognised and skipped, so running it again costs nothing.
set -euo pipefail
ncaers=${NCAERS:?run this through ./justw demo}
data=${DATA:-data/demo}
report=${REPORT:-reports/demo}
started=$SECONDS

step() {
  echo "== $* ($((SECONDS - started)) s)" >&2
  "$ncaers" "$@"
}

step demo-corpus --out "$data/corpus" --seed 1
step build --corpus "$data/corpus" --out manifests/demo --seed 1 --workers 2
step verify manifests/demo
step pack manifests/demo --out "$data/pack" --margin 0.1
step ablation experiments/demo.toml --out "$data/runs" --report "$report" --jobs 2
for run in "$data"/runs/*/run.json; do
  step evaluate "$(dirname "$run")"
done
step compare "$data"/runs/*/predictions-test.parquet --out "$report"
echo "the report is $report/index.html ($((SECONDS - started)) s in all)" >&2
