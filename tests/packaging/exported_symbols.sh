#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The internal modules of the library export nothing but their initializers, which importing code calls.
# usage: exported_symbols.sh LIBRARY INTERNAL_MODULES     the latter an extended regular expression
set -euo pipefail
library=$1 internal=$2

# Names without parameters: whose symbol it is, not what it is called with.
symbols=$(nm -D --defined-only "$library" | cut -d ' ' -f 3 | c++filt | sed 's/(.*//')
if ! grep -q 'annals::audit_logger@annals\.logger::sync' <<<"$symbols"; then
  printf 'expected %s to export annals::audit_logger::sync, demangled with its module; is c++filt too old?\n' "$library" >&2
  exit 1
fi
internal="@$internal([^.[:alnum:]_]|\$)"  # the whole name: annals.rotation is not annals.rotation.request
# What is not exported has these names all the same.
hidden_too=$(nm --defined-only "$library" | cut -d ' ' -f 3 | c++filt)
if ! grep -Eq "$internal" <<<"$hidden_too"; then
  printf 'expected symbols of modules %s in %s, hidden: are they named otherwise, or was it stripped?\n' "$internal" "$library" >&2
  exit 1
fi
if grep -E "$internal" <<<"$symbols"; then
  printf '%s exports the symbols above, which belong to modules that nobody can import\n' "$library" >&2
  exit 1
fi
