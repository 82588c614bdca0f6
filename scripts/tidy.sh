#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev tidy [FILE...]: clang-tidy with all checks. `quick` as first argument: those that `./dev lint` runs.
. scripts/common.sh
mode=thorough
if [ "${1:-}" = quick ]; then
  mode=quick
  shift
fi
need build test lint
# clang-tidy and clangd read the modules that a source imports in the compiler's form, from this build directory.
[ -e build/debug/CMakeCache.txt ] || configure debug -D ANNALS_TESTS=home
mapfile -t interfaces < <(ninja -C build/debug -t targets all | sed -nE 's/^([^:]*(\.cppm\.o|CXX\.dd)):.*/\1/p')
[ "${#interfaces[@]}" -gt 20 ] || die "found ${#interfaces[@]} module interfaces in build/debug; expected more"
ninja -C build/debug -j "$jobs" --quiet "${interfaces[@]}"
say "lint: clang-tidy, $mode"
python3 tests/structure/run_clang_tidy.py "$PWD" build/debug "$jobs" "$mode" "$@"
