#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts an installed tree somewhere else, and makes sure that nothing in it knows where it was built or installed.
# usage: move.sh PREFIX NEW_PREFIX SOURCE_DIRECTORY BUILD_DIRECTORY
set -euo pipefail
from=$1 to=$2 source=$3 build=$4

rm -rf "$to"
mkdir -p "$(dirname "$to")"
cp -a "$from" "$to"

# A path as a pattern; not where it is the end of a longer one (a source tree in /annals, and lib/cmake/annals).
# shellcheck disable=SC2001,SC2016  # the characters to escape are a set, and $ is one of them
pattern() { printf '(^|[^[:alnum:]_./}-])%s(/|[^[:alnum:]_.-]|$)' "$(sed 's/[][\.*^$()+?{}|]/\\&/g' <<<"$1")"; }

# Debug information names sources and the build directory; the place of the installation is nowhere.
if grep -rlaE -e "$(pattern "$from")" "$to"; then
  printf 'the files above name the prefix they were installed to, %s\n' "$from" >&2
  exit 1
fi
if grep -rIlE -e "$(pattern "$source")" -e "$(pattern "$build")" "$to"; then
  printf 'the files above name the directory they were built in or from, %s or %s\n' "$build" "$source" >&2
  exit 1
fi
