#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a project that uses an installed annals, and runs it.
# usage: consumer.sh CMAKE SOURCE_DIRECTORY WORK_DIRECTORY PREFIX DIALECT CMAKE_ARGUMENT...
set -euo pipefail
cmake=$1 source=$2 work=$3 prefix=$4 dialect=$5
shift 5
unset CXX CXXFLAGS LDFLAGS CMAKE_PREFIX_PATH CMAKE_GENERATOR CMAKE_BUILD_TYPE LD_LIBRARY_PATH

die() { printf 'consumer.sh: %s\n' "$*" >&2; exit 1; }

rm -rf "$work"
mkdir -p "$work"
"$cmake" -S "$source" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" "$@"
grep -q "^annals_DIR:PATH=$prefix/" "$work/build/CMakeCache.txt" || die "not the annals of $prefix was found"
"$cmake" --build "$work/build" --parallel 1

# One dialect for all: the consumer's code and the interfaces it imports.
dialects=$(grep -Eo -- '-std=[a-z0-9+]+' "$work/build/build.ninja" | sort -u)
[ "$dialects" = "-std=$dialect" ] || die "expected everything to be built with -std=$dialect, not" "$dialects"

# Warnings are the business of whoever builds: those of the library's own build must not reach this one.
if grep -Eo -m 1 -- ' -W(all|extra|error)' "$work/build/build.ninja"; then die "the option above came from annals"; fi

# Ninja keeps every file that the compiler opened. The interfaces are among them, the headers of Boost and zstd are not.
(cd "$work/build" && ninja -t deps) >"$work/opened"
grep -Eq '/annals/modules/core/event/event\.cppm$' "$work/opened" || die "expected $work/opened to list the interfaces"
grep -Eq '/bits/stl_vector\.h$' "$work/opened" || die "expected $work/opened to list the headers"
if grep -Ei '/boost/|/(zstd|zstd_errors|zdict)\.h$' "$work/opened"; then die "a consumer needs the headers above"; fi

"$work/build/consumer" "$work/log"
