#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev fuzz NAME|all [SECONDS]: runs fuzz targets on random inputs, as many at a time as there are processors.
. scripts/common.sh
name=${1:-} seconds=${2:-60} failed=0
case "$seconds" in '' | *[!0-9]*) die "'$seconds' is not a number of seconds" ;; esac
names=$(find tests/fuzz/corpus -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort)
if [ "$name" != all ]; then
  grep -qx -- "$name" <<<"$names" || die "there is no fuzz target '$name'; expected all, or one of ${names//$'\n'/, }"
  names=$name
fi

# Runs one target from the tree's corpus and what earlier runs added to it in build/fuzz-corpus/. Prints a line of figures.
fuzz_one() {
  local name=$1 log=build/fuzz-corpus/$1.log status=0 scratch
  scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" annals-fuzz-XXXXXX)
  mkdir -p "build/fuzz-corpus/$name" "build/fuzz-findings/$name"
  TMPDIR=$scratch "build/fuzz/tests/fuzz/fuzz_$name" "build/fuzz-corpus/$name" "tests/fuzz/corpus/$name" "-dict=tests/fuzz/$name.dict" \
    "-max_total_time=$seconds" "-artifact_prefix=build/fuzz-findings/$name/" -timeout=10 -rss_limit_mb=1536 -use_value_profile=1 \
    -print_final_stats=1 >"$log" 2>&1 || status=$?
  rm -rf "$scratch"
  awk -v name="$name" -v seconds="$seconds" -v status="$status" '
    / cov: / { for (i = 1; i < NF; ++i) if ($i == "cov:") edges = $(i + 1) }
    /^stat::number_of_executed_units/ { executions = $2 }
    END { printf "%-10s %12d executions, %6d edges, %5d s: %s\n", name, executions, edges, seconds, status == 0 ? "nothing found" : "FOUND SOMETHING" }' "$log"
  [ "$status" -eq 0 ] || { grep -a -E 'broken promise|seen:|SUMMARY|ERROR|Test unit written' "$log" | head -n 8 >&2; return 1; }
}

need build test
configure fuzz
compile fuzz fuzzers
say "fuzz: ${names//$'\n'/, } for $seconds s each"
running=()
for name in $names ''; do
  if [ -n "$name" ]; then
    fuzz_one "$name" &
    running+=($!)
  fi
  if [ "${#running[@]}" -eq "$jobs" ] || [ -z "$name" ]; then
    for pid in "${running[@]}"; do wait "$pid" || failed=1; done
    running=()
  fi
done
[ "$failed" -eq 0 ] ||
  { printf 'dev: findings are in build/fuzz-findings/; to run one again: build/fuzz/tests/fuzz/fuzz_NAME FILE\n' >&2; exit 1; }
