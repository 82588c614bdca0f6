#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev demo [FILE]: logs this machine's package history, or the JSON lines of FILE, and shows the last events. Builds without
# optimisation, which takes half the time.
. scripts/common.sh
out=build/demo/log/audit.jsonl
importer=import_dpkg_log
if [ $# -gt 0 ]; then
  importer=import_json_lines
  case "$1" in /*) input=$1 ;; *) input=$ANNALS_CALLER_DIRECTORY/$1 ;; esac
  [ -r "$input" ] || die "cannot read '$input'; expected a file of JSON lines"
else
  compgen -G '/var/log/dpkg.log*' >/dev/null || die "there is no /var/log/dpkg.log; expected one, or a file of JSON lines as argument"
fi
need build
configure demo
compile demo annals_command "$importer"
rm -rf "${out%/*}"
if [ $# -gt 0 ]; then
  say "demo: the JSON lines of $input"
  name=$(basename "$input")
  "build/demo/examples/$importer" "$out" "$name" <"$input"
else
  say "demo: this machine's package history, /var/log/dpkg.log and its rotations"
  # The oldest first: dpkg.log.12.gz ... dpkg.log.1, dpkg.log.
  printf '%s\n' /var/log/dpkg.log* | sort -rV | xargs gzip -cdf | "build/demo/examples/$importer" "$out"
fi
say "demo: annals tail -n 10 $out"
build/demo/cli/annals tail -n 10 "$out"
say "demo: kept in $PWD/$out ($(wc -l <"$out") events)"
