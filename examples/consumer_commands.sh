#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds examples/consumer against the installed package, as docs/packaging.md shows it.
# consumer_commands.sh EXAMPLES-FOLDER; ANNALS_PREFIX: where annals is installed
set -euo pipefail
cp -r "$1/consumer" consumer

cmake -S consumer -B build -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_PREFIX_PATH="$ANNALS_PREFIX"
cmake --build build
build/consumer
