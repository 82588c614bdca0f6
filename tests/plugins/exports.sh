#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A plugin exports its descriptor and nothing else, and does not need libannals.
# usage: exports.sh FILE
set -euo pipefail

die() { printf 'exports.sh: %s: %s\n' "$1" "$2" >&2; exit 1; }

symbols=$(nm -D --defined-only "$1" | awk '{print $NF}')
[ "$symbols" = annals_plugin ] || die "$1" "expected it to export annals_plugin only, not: $symbols"
needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
[ -n "$needed" ] || die "$1" "readelf listed no library that it needs; expected libc at least"
if grep -i annals <<<"$needed"; then die "$1" "it needs the library above"; fi
