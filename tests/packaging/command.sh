#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The installed command runs from its prefix, with the library of that prefix.
# usage: command.sh COMMAND LIBRARY WORK_DIRECTORY
set -euo pipefail
annals=$1 library=$2 work=$3
unset LD_LIBRARY_PATH

rm -rf "$work"
mkdir -p "$work"
"$annals" --version | grep -Ex 'annals [0-9]+\.[0-9]+\.[0-9]+'
ldd "$annals" >"$work/libraries"
loaded=$(awk '$1 ~ /^libannals\.so/ {print $3}' "$work/libraries")
if [ "$(realpath "$loaded")" != "$(realpath "$library")" ]; then
  printf 'expected %s to be loaded, not: %s\n' "$library" "$loaded" >&2
  exit 1
fi
"$annals" log "$work/audit.jsonl" web denied --dest 203.0.113.7:443 --field rule:=17
"$annals" tail -n 1 "$work/audit.jsonl" --output json | grep -F '"container":"web","action":"denied","dest":"203.0.113.7:443","rule":17}'
