#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `annals plugin new` of an installed annals writes out, built outside of it as its README says, checked by its own test,
# used by name by a log, and by a host of the next minor version of the ABI.
# usage: plugin_template.sh CMAKE PREFIX BINDIR WORK_DIRECTORY NEWER_HOST LANGUAGE CMAKE_ARGUMENT...
set -euo pipefail
cmake=$1 prefix=$2 annals=$2/$3/annals work=$4 newer_host=$5 language=$6
shift 6
unset CC CFLAGS CXX CXXFLAGS LDFLAGS CMAKE_PREFIX_PATH CMAKE_GENERATOR CMAKE_BUILD_TYPE LD_LIBRARY_PATH
umask 022
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() { printf 'plugin_template.sh: %s\n' "$*" >&2; exit 1; }

# A plugin's path must not be writable by others, so the work is done where that is sure.
rm -rf "$work"
mkdir -p "$work"
directory=$(mktemp -d -t annals-test-XXXXXX)
trap 'rm -rf "$directory"' EXIT
cd "$directory"

"$annals" plugin new ledger_2 --language "$language" >"$work/said"
grep -q 'Next: read annals_ledger_2/README.md' "$work/said" || die "expected the next step in $work/said"
if grep -rq mysink annals_ledger_2; then die "the template's own name was left in $(grep -rl mysink annals_ledger_2)"; fi
find annals_ledger_2 -type f -exec cksum {} + | sort >"$work/before"
[ "$(wc -l <"$work/before")" -eq 3 ] || die "expected three files, found $(cat "$work/before")"

# Nothing is overwritten, and no name gets through that a loader would refuse.
if "$annals" plugin new ledger_2 --language "$language" 2>"$work/refused"; then die "a second one was written over the first"; fi
grep -q "it is there already" "$work/refused" || die "expected it to say why: $(cat "$work/refused")"
find annals_ledger_2 -type f -exec cksum {} + | sort | cmp - "$work/before"
for name in '' file Ledger 2ledger _ledger led-ger ../ledger abcdefghijklmnopqrstuvwxyz012345; do
  status=0
  "$annals" plugin new "$name" 2>"$work/refused" || status=$?
  [ "$status" -eq 2 ] || die "expected the name '$name' to be refused with status 2, not $status"
done
[ "$(find . -mindepth 1 -maxdepth 1)" = ./annals_ledger_2 ] || die "something else was written: $(ls)"

"$cmake" -S annals_ledger_2 -B build -DCMAKE_PREFIX_PATH="$prefix" "$@"
grep -q "^annals_DIR:PATH=$prefix/" build/CMakeCache.txt || die "not the annals of $prefix was found"
grep -q "^ANNALS_COMMAND:FILEPATH=$annals$" build/CMakeCache.txt || die "not the command of $prefix was found"
"$cmake" --build build --parallel 1
if [ "$language" = cpp ]; then
  [ "$(grep -Eo -- '-std=[a-z0-9+]+' build/build.ninja | sort -u | wc -l)" -eq 1 ] || die "expected one dialect in build.ninja"
fi
"${cmake%cmake}ctest" --test-dir build --output-on-failure --no-tests=error
"$here/../plugins/exports.sh" build/annals_ledger_2.so

mkdir plugins
cp build/annals_ledger_2.so plugins/
cat >annals.json <<JSON
{
  "path": "$directory/audit.jsonl",
  "plugin_directories": ["$directory/plugins"],
  "sink": {"type": "ledger_2", "path": "$directory/out.jsonl"}
}
JSON
"$annals" config check annals.json
"$annals" plugins --config annals.json
"$annals" log --config annals.json web login
[ "$(wc -l <out.jsonl)" -eq 1 ] || die "expected one line in out.jsonl"
grep -q '"login"' out.jsonl || die "expected the event in out.jsonl, not: $(cat out.jsonl)"
ANNALS_TEST_PLUGIN=$PWD/plugins/annals_ledger_2.so "$newer_host"
