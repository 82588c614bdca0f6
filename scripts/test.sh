#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev test: every test, each in the build that is its home (tests/CMakeLists.txt). Prints the twenty slowest.
. scripts/common.sh
need build test
conan_venv
interop_venv

# The failures of a build do not hide those of the next one.
status=0
for preset in tsan debug release; do
  configure "$preset" -D ANNALS_TESTS=home
  compile "$preset" home_tests
  case "$preset" in
    tsan) say "test: what starts threads, under ThreadSanitizer" ;;
    debug) say "test: AddressSanitizer and UndefinedBehaviorSanitizer" ;;
    release) say "test: as released, and the packages" ;;
  esac
  run_tests "$preset" || status=1
done
say "test: all of them"
python3 scripts/summary.py build/tests-{tsan,debug,release}.xml || status=1
exit "$status"
