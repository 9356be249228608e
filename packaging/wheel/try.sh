#!/usr/bin/env bash
# just try-wheel [WHEEL=file] [PYTHON=/usr/bin/python3]: installs the wheel as an ordinary user, into a new environment, with
# nothing but that environment on the search path, and runs the demonstration. Of PyTorch only what a machine without a GPU
# needs is installed; its 550 MB stay in the cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cache=${NCAERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ncaers}
WHEEL=${WHEEL:-} PYTHON=${PYTHON:-/usr/bin/python3}
for word in "$@"; do
  case $word in
    WHEEL=* | PYTHON=*) declare "$word" ;;
    *) echo "try-wheel: unknown word '$word' (known: WHEEL=file, PYTHON=python)" >&2; exit 2 ;;
  esac
done
: "${WHEEL:=$(find dist -name 'ncaers-*.whl' -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1 | cut -d' ' -f2-)}"
[ -n "$WHEEL" ] || { echo 'try-wheel: no dist/ncaers-*.whl; run `./justw wheel`' >&2; exit 1; }
die() { echo "try-wheel: $*" >&2; exit 1; }
say() { echo "try-wheel: $*" >&2; }

# Below a folder that an ordinary user may enter, which the home of root is not.
work=$(mktemp -d "${TMPDIR:-/tmp}/try-wheel.XXXXXX")
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
cp "$WHEEL" "$work/"
wheel=$work/$(basename "$WHEEL")
size=$(stat -c %s "$wheel")
[ "$size" -le 40000000 ] || die "$WHEEL has $size bytes, more than 40 MB"
say "$(basename "$wheel"), $((size / 1000)) kB"

# What the program links: LibTorch's wheel has three of them, every Linux the others.
unzip -q -p "$wheel" ncaers/bin/ncaers >"$work/program"
for library in $(objdump -p "$work/program" | awk '$1 == "NEEDED" { print $2 }'); do
  case $library in
    libtorch_cpu.so | libc10.so | libgomp.so.1) ;;
    libc.so.6 | libm.so.6 | libgcc_s.so.1 | libstdc++.so.6 | libz.so.1 | ld-linux-x86-64.so.2) ;;
    *) die "the program links $library" ;;
  esac
done
newest=$(objdump -T "$work/program" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
[ "$(printf '%s\n' GLIBC_2.34 "$newest" | sort -V | tail -n 1)" = GLIBC_2.34 ] || die "the program needs $newest"
unzip -Z1 "$wheel" >"$work/names"
for text in FFmpeg-LGPL-2.1.txt LAME-LGPL-2.txt dav1d-BSD-2-Clause.txt LICENSE-MIT crates.txt; do
  grep -q "licenses/.*$text" "$work/names" || die "the wheel lacks $text"
done

# A wheel of PyTorch is for one version of Python.
parts=$cache/torch-wheels-$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ ! -e "$parts/complete" ]; then
  say "fetching PyTorch's parts for a CPU, 550 MB, once"
  mkdir -p "$parts"
  "$PYTHON" -m pip download -q --disable-pip-version-check --no-deps -d "$parts" 'torch==2.11.*' \
    'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cupti==13.0.*'
  touch "$parts/complete"
fi
mkdir "$work/parts" "$work/home"
cp -l "$parts"/*.whl "$work/parts/" 2>/dev/null || cp "$parts"/*.whl "$work/parts/"
chmod -R a+rX "$work/parts"
[ "$(id -u)" -ne 0 ] || chown 65534:65534 "$work/home"

# as_user PATH COMMAND...: without root, without the caller's environment.
as_user() {
  local path=$1 drop=()
  shift
  [ "$(id -u)" -ne 0 ] || drop=(setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs)
  (cd "$work/home" && "${drop[@]}" env -i HOME="$work/home" PATH="$path" "${extra[@]}" "$@")
}
extra=()
env=$work/home/env
python_folder=$(dirname "$(realpath "$PYTHON")")
as_user "$python_folder" "$(realpath "$PYTHON")" -m venv "$env"
pip=("$env/bin/python" -m pip install -q --disable-pip-version-check --no-cache-dir --no-index --find-links "$work/parts" --no-deps)

as_user "$env/bin" "${pip[@]}" "$wheel"
as_user "$env/bin" ncaers --version >/dev/null 2>"$work/error" && die "it starts without PyTorch"
grep -q "pip install 'torch==2.11" "$work/error" || die "no word about the missing PyTorch: $(cat "$work/error")"

as_user "$env/bin" "${pip[@]}" 'torch==2.11.*' 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cupti==13.0.*'
as_user "$env/bin" ncaers --version
as_user "$env/bin" ncaers doctor | tee "$work/doctor"
as_user "$env/bin" ncaers demo --quick --out demo | tee "$work/told"
[ -s "$work/home/demo/report/index.html" ] || die "the demonstration left no report"
grep -q 'FFmpeg.*LGPL' "$work/doctor" || die "doctor does not name the licence of the FFmpeg inside"
for key in version licence configuration; do
  grep -q "\"$key\"" "$work/home/demo/manifest/build.json" || die "build.json does not tell the $key of FFmpeg"
done

# The commands that it ends with work as they stand.
sed -n '/^next:/,$p' "$work/told" | grep '^ *ncaers ' >"$work/next"
[ "$(wc -l <"$work/next")" -eq 3 ] || die "the demonstration names no three commands"
while read -r -a words; do
  say "${words[*]}"
  as_user "$env/bin" "${words[@]}" </dev/null
done <"$work/next"

# A foreign LibTorch in the environment does not win, and one in another folder is found.
mkdir "$work/foreign" && echo 'not a library' >"$work/foreign/libtorch_cpu.so"
chmod -R a+rX "$work/foreign"
extra=(LD_LIBRARY_PATH="$work/foreign")
as_user "$env/bin" ncaers model list >/dev/null
site=$(as_user "$env/bin" "$env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
as_user "/usr/bin:/bin" mkdir "$work/home/elsewhere"
as_user "/usr/bin:/bin" mv "$site/torch" "$site/nvidia" "$work/home/elsewhere/"
extra=(PYTHONPATH="$work/home/elsewhere")
as_user "$env/bin" ncaers model list >/dev/null
say "done in $SECONDS s"
