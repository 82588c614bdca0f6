#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev check [FILE...]: the everyday loop. Builds with AddressSanitizer and UndefinedBehaviorSanitizer, and runs the tests that the changed
# files reach: FILEs, else what is not committed, else what the last commit changed. scripts/reached.py says which tests these are.
. scripts/common.sh
need build test
files=("$@")
[ $# -gt 0 ] || mapfile -t files < <({ git diff --name-only HEAD && git ls-files --others --exclude-standard; } | sort -u)
[ "${#files[@]}" -gt 0 ] || mapfile -t files < <(git diff --name-only HEAD~1 HEAD)
grep -qsx 'ANNALS_TESTS:STRING=all' build/debug/CMakeCache.txt || configure debug -D ANNALS_TESTS=all
mapfile -t targets < <(python3 scripts/reached.py targets "${files[@]}")
[ "${#targets[@]}" -gt 0 ] || { say "check: no test is reached by: ${files[*]}"; exit 0; }
say "check: ${files[*]}"
compile debug "${targets[@]}"
tests=$(python3 scripts/reached.py tests "${files[@]}")
run_tests debug -I "0,0,0,$tests"
