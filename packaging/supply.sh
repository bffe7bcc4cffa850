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
cargo deny --offline --workspace check --hide-inclusion-graph licenses bans sources || found=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp deny.toml "$work/deny.toml"
if [ -n "$database" ]; then
    # cargo-deny makes a clone of its own. git takes it from here, and not from the address that cargo-deny names.
    sed -i "s#^\[advisories\]#[advisories]\ndb-path = \"$work/db\"\ngit-fetch-with-cli = true#" "$work/deny.toml"
    export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$database.insteadOf"
    export GIT_CONFIG_VALUE_0=https://github.com/RustSec/advisory-db
    # An old database knows less, so its day is printed.
    echo "advisories as of $(git -C "$database" log -1 --format=%cs)"
fi
# Not offline: the database is fetched, and yanked crates are looked up in the index of the registry.
if cargo deny --workspace --config "$work/deny.toml" check --hide-inclusion-graph advisories >"$work/said" 2>&1; then
    cat "$work/said"
elif grep -q 'failed to fetch advisory database' "$work/said"; then
    echo "NOT CHECKED: advisories: $(grep -m 1 'failed to fetch advisory database' "$work/said")"
else
    cat "$work/said"
    found=1
fi
exit $found
