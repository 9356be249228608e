#!/usr/bin/env bash
# just deny: licences, sources and known vulnerabilities of everything that is linked (deny.toml).
# Exit 69: there is no cargo-deny and it cannot be fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo deny --version >/dev/null 2>&1 || { echo 'deny: cargo has no deny; run ./justw deny or cargo install cargo-deny' >&2; exit 69; }
cargo deny --locked check licenses bans sources
# The list of vulnerabilities comes over the network; the last one that came does as well as it can.
if cargo deny --locked fetch db >/dev/null 2>&1; then
  cargo deny --locked check advisories
elif cargo deny --locked --offline check advisories; then
  echo 'deny: VULNERABILITIES CHECKED AGAINST AN OLD LIST: the present one cannot be fetched' >&2
else
  echo 'deny: VULNERABILITIES NOT CHECKED: their list cannot be fetched (see above)' >&2
fi
