#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is installed was linked and compiled as docs/packaging.md, Hardening, says.
# usage: hardened.sh COMMAND LIBRARY PLUGIN_DIRECTORY
set -euo pipefail
command=$1 library=$2 plugins=$3

problems=0
expect() {  # FILE WHAT TEXT PATTERN
  grep -Eq "$4" <<<"$3" && return
  printf '%s: expected %s\n' "$1" "$2" >&2
  problems=$((problems + 1))
}

check() {
  local file=$1 headers dynamic symbols
  headers=$(readelf -W -l "$file")
  dynamic=$(readelf -W -d "$file")
  symbols=$(readelf -W --dyn-syms "$file")
  expect "$file" 'no fixed address (a PIE or a shared object)' "$(readelf -h "$file")" 'Type: +DYN'
  expect "$file" 'RELRO' "$headers" '^ +GNU_RELRO '
  expect "$file" 'that all symbols are bound at its start, so that RELRO covers them' "$dynamic" 'BIND_NOW|FLAGS_1.* NOW'
  expect "$file" 'a stack that is not executable' "$headers" '^ +GNU_STACK .* RW '
  expect "$file" 'a stack protector' "$symbols" ' UND __stack_chk_fail(@|$)'
  if grep -E '^ +LOAD .* RWE ' <<<"$headers"; then
    printf '%s: expected no memory that is writable and executable\n' "$file" >&2
    problems=$((problems + 1))
  fi
  [ "$(uname -m)" = x86_64 ] || return 0
  # The linker marks a file for CET when all parts of it are, and those of the C library's startup are not everywhere. So look
  # whether our functions begin as CET wants it, and for the mark where it can be expected.
  expect "$file" 'functions that begin with endbr64' "$(objdump -d -j .text --no-show-raw-insn "$file" | grep -c endbr64)" '^[0-9]{2,}$'
  if [ "$startup_is_marked" = yes ]; then expect "$file" 'a note that says IBT and SHSTK' "$(readelf -n "$file")" 'IBT, SHSTK'; fi
}

startup_is_marked=yes
for part in crti.o Scrt1.o; do
  readelf -n "$(gcc -print-file-name="$part")" | grep -q 'IBT, SHSTK' || startup_is_marked=no
done

files=("$command" "$library" "$plugins"/*.so)
[ "${#files[@]}" -ge 6 ] || { printf 'expected four plugins or more in %s\n' "$plugins" >&2; exit 1; }
for file in "${files[@]}"; do check "$file"; done
expect "$library" 'that it is never unloaded' "$(readelf -W -d "$library")" 'FLAGS_1.* NODELETE'
[ "$problems" -eq 0 ] && printf '%s files; startup files of the C library marked for CET: %s\n' "${#files[@]}" "$startup_is_marked"
