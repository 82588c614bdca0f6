#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `annals plugin check` finds nothing wrong with the sink rotate, and everything but archiving was tried; with no triggers, since
# the checker looks for the lines in the live segment, and with triggers that the cases do not reach.
# usage: rotate_check.sh COMMAND FILE
set -euo pipefail
umask 022

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
install -m 0644 "$2" "$directory/"
for options in '{}' '{"size":"1GiB","interval":"1d","age":"1d"}'; do
  "$1" plugin check "$directory/${2##*/}" --options "$options" | tee "$directory/report"
  grep -Eq '^[0-9]+ passed, 0 failed, 0 not checked, 1 not applicable$' "$directory/report" ||
    { printf 'rotate_check.sh: expected all cases but archive to have been tried\n' >&2; exit 1; }
done
