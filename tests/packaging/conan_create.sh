#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Conan package from its exported sources, and lets its test package import the library. Not optimised: the recipe is tested,
# and the same sources were compiled for release. For `./dev soak`: it compiles the library again, which takes minutes.
# usage: conan_create.sh SOURCE_DIRECTORY WORK_DIRECTORY
set -euo pipefail
# shellcheck source=tests/packaging/conan.sh
. "$1/tests/packaging/conan.sh" "$1" "$2"
"$conan" create "$source/conan" -pr:a "$profile" -nr \
  -c tools.build:jobs=1 \
  -c 'tools.cmake.cmaketoolchain:extra_variables={"CMAKE_CXX_FLAGS_RELEASE": "-O0"}' \
  -c tools.cmake.cmake_layout:test_folder="$work/test_package" \
  -c tools.cmake.cmaketoolchain:user_presets=
