#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `annals plugin check` finds nothing wrong with a sink that appends to the file of its option `path`, and everything but
# archiving was tried. The file is copied to where a loader trusts it.
# usage: passes_checker.sh COMMAND FILE
set -euo pipefail
umask 022

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
install -m 0644 "$2" "$directory/"
"$1" plugin check "$directory/${2##*/}" --options '{"path":"{directory}/out.jsonl"}' --destination '{directory}/out.jsonl' |
  tee "$directory/report"
grep -Eq '^[0-9]+ passed, 0 failed, 0 not checked, 2 not applicable$' "$directory/report" ||
  { printf 'passes_checker.sh: expected all cases but archive to have been tried\n' >&2; exit 1; }
