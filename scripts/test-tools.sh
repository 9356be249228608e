#!/usr/bin/env bash
# What only the system tests need, from pip, into the cache; a second use costs nothing: axe-core (accessibility of pages,
# inside a Python package) and an environment with the libraries that docs/python.md names. PyTorch's 2.7 GB are left out,
# and the test then says that it skips the blocks that train.
set -euo pipefail
cache=${NCAERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ncaers}
PYTHON=${PYTHON:-python3}
to=$cache/test-tools-1
[ ! -e "$to/complete" ] || exit 0
mkdir -p "$to"
"$PYTHON" -m venv --clear "$to/python"
pip=("$to/python/bin/python" -m pip -q --disable-pip-version-check)
"${pip[@]}" install pandas polars pyarrow 'datasets>=3' pillow numpy safetensors
"${pip[@]}" download --no-deps -d "$to/axe" 'axe-playwright-python==0.1.8'
unzip -q -o -j "$to"/axe/*.whl '*/axe.min.js' -d "$to"
touch "$to/complete"
