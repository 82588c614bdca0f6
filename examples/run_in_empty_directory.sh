#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run_in_empty_directory.sh INPUT-FILE-OR-EMPTY COMMAND [ARGUMENT...]
set -euo pipefail
input=${1:-/dev/null}
shift
directory=$(mktemp -d -t annals-test-XXXXXX)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
"$@" <"$input"
