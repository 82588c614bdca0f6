#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Conan package offline, from this system's packages, and lets its test package import the library. Not optimised: it is
# the recipe that is tested, and the same sources were compiled for release a moment before.
# Exit code 77: skipped, for there is no Conan, or no profile for this system.
# usage: conan_create.sh SOURCE_DIRECTORY WORK_DIRECTORY
set -euo pipefail
source=$1 work=$2
conan=$source/build/conan/venv/bin/conan

skip() {
  printf '!! %s\n' "$@" 'SKIPPED: the Conan package is NOT proven.' >&2
  exit 77
}

if ! "$conan" --version >/dev/null 2>&1; then
  skip "There is no Conan at $conan: the Python package index could not be reached when it was to be installed" \
    "(or ./dev test, which installs it there, has not been run yet)."
fi
# shellcheck source=/dev/null
system=$(. /etc/os-release && printf '%s%s' "${ID:-}" "${VERSION_ID:-}")
profile=$source/conan/profiles/$system-clang19
[ -f "$profile" ] || skip "There is no profile for this system: $profile."

rm -rf "$work"
mkdir -p "$work"
export CONAN_HOME=$work/home
unset CXX CXXFLAGS LDFLAGS CMAKE_PREFIX_PATH CMAKE_GENERATOR CMAKE_BUILD_TYPE LD_LIBRARY_PATH
"$conan" create "$source/conan" -pr:a "$profile" -nr \
  -c tools.build:jobs=1 \
  -c 'tools.cmake.cmaketoolchain:extra_variables={"CMAKE_CXX_FLAGS_RELEASE": "-O0"}' \
  -c tools.cmake.cmake_layout:test_folder="$work/test_package" \
  -c tools.cmake.cmaketoolchain:user_presets=
