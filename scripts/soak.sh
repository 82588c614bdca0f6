#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev soak: the tests for longer, in every build that can run them, and the fuzz targets. Ends with the table of docs/trust.md and the
# figures of this run.
. scripts/common.sh
status=0
export ANNALS_KILL_ROUNDS=${ANNALS_KILL_ROUNDS:-2000} ANNALS_POWER_ROUNDS=${ANNALS_POWER_ROUNDS:-1200}
export ANNALS_STRESS_EVENTS=${ANNALS_STRESS_EVENTS:-10000000} ANNALS_ATTACK_ROUNDS=${ANNALS_ATTACK_ROUNDS:-100000}
need build test bench
conan_venv
interop_venv
configure release -D ANNALS_TESTS=all -D ANNALS_BENCH=ON  # the benchmarks have to compile, too
configure tsan -D ANNALS_TESTS=all
compile release all
compile tsan all
say "soak: $ANNALS_KILL_ROUNDS SIGKILLs, $ANNALS_POWER_ROUNDS power cuts, $ANNALS_STRESS_EVENTS events through moving segments,"
say "soak: $ANNALS_ATTACK_ROUNDS rounds of an attacker in the directory; and every other test, as released"
run_tests release --test-output-size-passed 65536 || status=1
say "soak: the programs that start threads, and the plugins, under ThreadSanitizer"
run_tests tsan -L concurrent --test-output-size-passed 65536 || status=1
scripts/fuzz.sh all "${ANNALS_FUZZ_SECONDS:-60}" | tee build/soak-fuzz.txt || status=1
say "soak: what is promised, and what was counted in this run"
python3 tests/soak/table.py "$PWD" build/soak-fuzz.txt build/tests-release.xml build/tests-tsan.xml || status=1
exit "$status"
