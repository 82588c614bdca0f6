#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a plugin, and builds, checks and uses those of this folder, as docs/plugins.md shows it.
# usage: commands.sh EXAMPLES_FOLDER; ANNALS_PREFIX: where annals is installed
set -euo pipefail
umask 022
PATH=$ANNALS_PREFIX/bin:$PATH

annals plugin new ledger
cmake -S annals_ledger -B build-ledger -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_PREFIX_PATH="$ANNALS_PREFIX"
cmake --build build-ledger
ctest --test-dir build-ledger --output-on-failure

cp -r "$1/plugins" plugins
cmake -S plugins -B build -G Ninja -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 \
  -DCMAKE_PREFIX_PATH="$ANNALS_PREFIX"
cmake --build build

annals plugin check build/annals_console.so --options '{"stream": "stdout"}' --destination stdout
annals plugin check build/annals_console.so --options '{"stream": "stderr"}' --destination stderr
annals plugin check build/annals_stdout.so --destination stdout

annals plugins --directory "$PWD/build"

cp plugins/annals.json .
sed -i "s|/opt/example/annals|$PWD/build|" annals.json
annals config check annals.json
annals log --config annals.json web denied >out
grep -q '"denied"' out
