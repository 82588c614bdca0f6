#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev format: rewrites the sources in the project's format.
. scripts/common.sh
need lint
git ls-files -z -- '*.c' '*.cpp' '*.cppm' '*.h' | xargs -0 clang-format-19 -i
