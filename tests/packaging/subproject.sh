#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A project that adds annals' sources with add_subdirectory(), with no settings and in another dialect, compiles a source that imports it.
# usage: subproject.sh CMAKE PROJECT_SOURCES WORK_DIRECTORY CMAKE_ARGUMENT...
set -euo pipefail
cmake=$1 sources=$2 work=$3
shift 3
unset CXX CXXFLAGS LDFLAGS CMAKE_PREFIX_PATH CMAKE_GENERATOR CMAKE_BUILD_TYPE

rm -rf "$work"
mkdir -p "$work"
cp "$sources/tests/packaging/mistakes/main.cpp" "$work/main.cpp"
cat >"$work/CMakeLists.txt" <<LISTS
cmake_minimum_required(VERSION 3.28)
project(subproject LANGUAGES CXX)
add_subdirectory("$sources" annals)
add_executable(subproject main.cpp)
target_link_libraries(subproject PRIVATE annals::annals)
LISTS
"$cmake" -S "$work" -B "$work/build" -G Ninja "$@"
# Of the library, the interfaces are compiled. They are what compilers refuse to mix.
"$cmake" --build "$work/build" --parallel 1 --target CMakeFiles/subproject.dir/main.cpp.o
