#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev lint [FILE...]: the format of the sources, static checks of scripts, the project's own rules, and clang-tidy's quick checks of the
# sources that have changed, themselves or in what they import, since these passed (of FILEs alone, when given).
. scripts/common.sh
need build test lint
say "lint: clang-format"
git ls-files -z -- '*.c' '*.cpp' '*.cppm' '*.h' | xargs -0 clang-format-19 --dry-run --Werror
say "lint: shellcheck"
git ls-files -z -- dev .ci/run '*.sh' cli/completions/annals.bash | xargs -0 shellcheck -x
say "lint: modules, documentation and promises"
python3 tests/structure/check_modules.py "$PWD"
python3 tests/structure/check_documentation.py "$PWD"
python3 tests/structure/check_promises.py "$PWD"
scripts/tidy.sh quick "$@"
