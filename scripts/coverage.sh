#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev coverage: runs the tests and prints what they cover of each module.
. scripts/common.sh
status=0
need build test coverage
configure coverage -D ANNALS_TESTS=all
compile coverage all
interop_venv
say "coverage: the tests"
rm -rf build/coverage/profiles
# %c: the counters are in the file at every moment, so a killed process counts, too. The random kills are few: they run the same code
# again and again. What a failing test has run is counted; the command fails all the same.
ANNALS_KILL_ROUNDS=20 LLVM_PROFILE_FILE="$PWD/build/coverage/profiles/%m%c.profraw" run_tests coverage || status=$?
llvm-profdata-19 merge -sparse -o build/coverage/tests.profdata build/coverage/profiles/*.profraw
mapfile -t binaries < <(find build/coverage/tests build/coverage/annals build/coverage/cli -maxdepth 2 -type f -perm -u+x \
  ! -name '*.o' ! -path '*/CMakeFiles/*' | sort)
binaries+=(build/coverage/libannals.so)
others=("${binaries[@]:1}")
llvm-cov-19 show -format=html -show-branches=count -output-dir build/coverage/html \
  -instr-profile build/coverage/tests.profdata "${binaries[0]}" "${others[@]/#/-object=}" -sources modules sinks plugins cli >/dev/null
say "coverage: as pages in build/coverage/html/index.html"
printf '%s\n' "${binaries[@]}" |
  python3 tests/coverage/report.py "$PWD" build/coverage/tests.profdata build/coverage/branches-never-taken.txt || status=$?
exit "$status"
