#!/usr/bin/env bash
# just install [PREFIX=~/.local]: the program, completions for bash, zsh and fish, and manual pages below PREFIX, without root.
# The program looks for LibTorch where it was linked against it (LIBTORCH), so that folder must stay.
set -euo pipefail
ncaers=${NCAERS:?run this through just install}
PREFIX=${PREFIX:-$HOME/.local}
. "$(dirname "${BASH_SOURCE[0]}")/words.sh"
read_variables install "PREFIX" "$@"
to=$PREFIX/bin/ncaers
if [ -e "$to" ] && ! "$to" --version 2>/dev/null | grep -q '^ncaers '; then
  echo "install: $to is there and is not ncaers; choose another PREFIX=" >&2
  exit 1
fi
mkdir -p "$PREFIX/bin"
# Beside and renamed: a running program keeps its file.
beside=$(mktemp "$PREFIX/bin/.ncaers.XXXXXX")
trap 'rm -f "$beside"' EXIT
cp "$ncaers" "$beside"
chmod 755 "$beside"
mv -T "$beside" "$to"
completions() { mkdir -p "$(dirname "$2")" && "$to" completions "$1" >"$2"; }
completions bash "$PREFIX/share/bash-completion/completions/ncaers"
completions zsh "$PREFIX/share/zsh/site-functions/_ncaers"
completions fish "$PREFIX/share/fish/vendor_completions.d/ncaers.fish"
"$to" man --out "$PREFIX/share/man/man1" >/dev/null
"$to" --version
case ":$PATH:" in
  *":$PREFIX/bin:"*) echo "next: ncaers demo" ;;
  *) echo "next: export PATH=\"$PREFIX/bin:\$PATH\" && ncaers demo" ;;
esac
