#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev build [PRESET]: the library, the command and the plugins; `release` (the default) also installs them into build/install.
. scripts/common.sh
preset=${1:-release}
case "$preset" in
  release | debug | tsan | coverage) ;;
  *) die "unknown preset '$preset'; expected release, debug, tsan or coverage" ;;
esac
need build
[ "$preset" = release ] || need test
configure "$preset"
compile "$preset" product
if [ "$preset" = release ]; then
  cmake --install build/release --prefix build/install >build/release/install.log
  say "installed: build/install (bin/annals, the library, its CMake package)"
fi
