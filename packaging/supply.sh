#!/usr/bin/env bash
# Checks where the crates of the project come from: licences, sources, duplicates, known vulnerabilities (deny.toml).
#
# usage: packaging/supply.sh [--advisories FOLDER]
#
#   --advisories FOLDER   a copy of the database of advisories (github.com/RustSec/advisory-db, a git clone) for machines
#                         that do not reach it
#
# It needs cargo-deny (`cargo install --locked cargo-deny`). What could not be checked is named on a line that begins with
# NOT CHECKED. Exit codes: 0 nothing was found, 1 something was found, 2 wrong usage or no cargo-deny.
set -euo pipefail
cd "$(dirname "$0")/.."
database=
while [ $# -gt 0 ]; do
    case $1 in
        --advisories) database=$(realpath "${2:?--advisories needs a folder}") && shift ;;
        *) sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0" && exit 2 ;;
    esac
    shift
done
if ! cargo deny --version >/dev/null 2>&1; then
    echo "NOT CHECKED: licences, sources, duplicates and advisories: there is no cargo-deny (cargo install --locked cargo-deny)"
    exit 2
fi
found=0
cargo deny --offline check --hide-inclusion-graph licenses bans sources || found=1

# The database lies where cargo-deny looks for it, or is fetched. An old one finds less, so its day is printed.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp deny.toml "$work/deny.toml"
options=()
if [ -n "$database" ]; then
    # cargo-deny names the clone by its address; it makes its own clone of a local folder.
    sed -i "s#^\[advisories\]#[advisories]\ndb-path = \"$work/db\"\ndb-urls = [\"file://$database\"]\ngit-fetch-with-cli = true#" \
        "$work/deny.toml"
    echo "advisories as of $(git -C "$database" log -1 --format=%cs)"
fi
# Yanked crates are looked up in the index of the registry, so this part is not offline.
if cargo deny fetch --config "$work/deny.toml" db >"$work/fetch.log" 2>&1; then
    cargo deny check --config "$work/deny.toml" --disable-fetch --hide-inclusion-graph "${options[@]}" advisories || found=1
else
    echo "NOT CHECKED: advisories: the database could not be fetched: $(tail -n 1 "$work/fetch.log")"
fi
exit $found
