#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Conan package, made of the release build that there is: every source that the build read is exported, the exported sources can be
# configured, the package is what the recipe installs, and its test package imports the library. conan_create.sh also compiles.
# usage: conan_package.sh SOURCE_DIRECTORY BUILD_DIRECTORY WORK_DIRECTORY CXX_COMPILER
set -euo pipefail
build=$2 compiler=$4
# shellcheck source=tests/packaging/conan.sh
. "$1/tests/packaging/conan.sh" "$1" "$3"

"$conan" export "$source/conan" >"$work/export.txt" 2>&1 || { cat "$work/export.txt" >&2; exit 1; }
recipe=$(sed -nE 's/.*Exported: ([^ ]+).*/\1/p' "$work/export.txt")
exported=$("$conan" cache path "$recipe" --folder=export_source)

# Ninja keeps every file that the compiler opened. Of the command, the package has nothing.
mapfile -t objects < <(ninja -C "$build" -t inputs libannals.so annals/plugins/annals_{rotate,stderr,syslog,zstd}.so | grep '\.o$')
ninja -C "$build" -t deps "${objects[@]}" >"$work/opened"
mapfile -t opened < <(sed -nE "s|^ +$source/||p" "$work/opened" | grep -v '^build/' | sort -u)
[ "${#opened[@]}" -gt 50 ] || { echo "found ${#opened[@]} sources in the build's dependencies; expected more" >&2; exit 1; }
missing=0
for file in "${opened[@]}"; do
  [ -e "$exported/$file" ] || { echo "conan/conanfile.py does not export $file, which the build reads" >&2; missing=1; }
done
[ "$missing" -eq 0 ]
cmake -S "$exported" -B "$work/exported" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" -DANNALS_CLI=OFF

# Where the recipe looks for what was built: the rules to install it name their files with whole paths.
mkdir -p "$work/build/Release"
cp "$build/cmake_install.cmake" "$work/build/Release/"
"$conan" export-pkg "$source/conan" -pr:a "$profile" -nr -c tools.cmake.cmake_layout:build_folder="$work/build" \
  -c tools.cmake.cmake_layout:test_folder="$work/test_package" -c tools.cmake.cmaketoolchain:user_presets=
