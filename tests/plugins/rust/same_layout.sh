#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares the layout that a program prints with that of a golden file: every struct, every member's offset, size and name.
# usage: same_layout.sh PROGRAM GOLDEN_FILE
set -euo pipefail

diff <(grep -E '^struct |^  ' "$2" | sed 's/ : .*//') <("$1")
