#!/usr/bin/env bash
# The whole main job without data of one's own: synthetic clips -> data set -> three models, and the
# same on stills of such clips that leak between train and test as CAER-S's do -> one report.
# Finished steps are recognised and skipped, so running it again costs little.
set -euo pipefail
ncaers=${NCAERS:?run this through ./justw demo}
data=${DATA:-data/demo}
report=${REPORT:-$data/report}
twin=$data/twin
started=$SECONDS

step() {
  echo "== ncaers $* ($((SECONDS - started)) s)" >&2
  "$ncaers" "$@"
}
mkdir -p "$data"

step demo-corpus --out "$data/corpus" --seed 1
step build --corpus "$data/corpus" --out "$data/manifest" --seed 1
step verify "$data/manifest"
step pack "$data/manifest" --out "$data/pack" --margin 0.1

# CAER-S's twin keeps its leak: that is what it is for.
step demo-corpus --stills --out "$twin/stills" --seed 1
step import --layout csv --root "$twin/stills" --out "$twin/manifest" --detector seeta --on-leak keep --seed 1
step pack "$twin/manifest" --out "$twin/pack" --margin 0.1
step audit "$twin/manifest" --out "$twin/audit"

step ablation experiments/demo.toml --out "$data/runs" --report "$data/report-clean" --jobs 2 \
  --set "data.manifest=$data/manifest" --set "data.pack=$data/pack"
step ablation experiments/demo-twin.toml --out "$twin/runs" --report "$twin/report" --jobs 2 \
  --set "data.manifest=$twin/manifest" --set "data.pack=$twin/pack"

for run in "$data"/runs/*/run.json; do
  step evaluate "$(dirname "$run")"
done
step evaluate "$twin/runs/GLA-1" --clean "$twin/audit"
step compare "$data"/runs/*/predictions-test.parquet --out "$data/comparison"
step report "clean set=$data/runs" "leaky twin=$twin/runs" --audit "leaky twin=$twin/audit" \
  --title "Demonstration" --out "$report"

cat "$report/tables/leak.md"
echo "the report is $report/index.html ($((SECONDS - started)) s in all)" >&2
