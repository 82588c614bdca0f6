#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a project that uses an installed annals wrongly: it has to fail, and to say why.
# usage: mistake.sh CMAKE SOURCE_DIRECTORY WORK_DIRECTORY PREFIX EXPECTED CMAKE_ARGUMENT...
set -euo pipefail
cmake=$1 source=$2 work=$3 prefix=$4 expected=$5
shift 5
unset CXX CXXFLAGS LDFLAGS CMAKE_PREFIX_PATH CMAKE_GENERATOR CMAKE_BUILD_TYPE LD_LIBRARY_PATH

rm -rf "$work"
mkdir -p "$work"
if { "$cmake" -S "$source" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" "$@" &&
  "$cmake" --build "$work/build" --parallel 1; } >"$work/output" 2>&1; then
  cat "$work/output"
  printf 'mistake.sh: expected this to fail\n' >&2
  exit 1
fi
cat "$work/output"
said=$(tr -s ' \n' ' ' <"$work/output")  # CMake breaks lines as it likes
if ! grep -Eq -e "$expected" <<<"$said"; then
  printf 'mistake.sh: it failed, but expected it to say: %s\n' "$expected" >&2
  exit 1
fi
