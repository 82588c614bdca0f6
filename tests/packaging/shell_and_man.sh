#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The installed completions load, and the installed man page renders without a warning.
# usage: shell_and_man.sh DATA_DIRECTORY MAN_DIRECTORY
set -euo pipefail
data=$1 man=$2
export LC_ALL=C.UTF-8

# shellcheck disable=SC2016  # $1 is for the inner shell
bash -euc 'source "$1" && complete -p annals' bash "$data/bash-completion/completions/annals"
zsh -n "$data/zsh/site-functions/_annals"
head -n 1 "$data/zsh/site-functions/_annals" | grep -qx '#compdef annals'

export MANWIDTH=80
warnings=$(man --warnings -l "$man/man1/annals.1" 2>&1 >/dev/null)
if [ -n "$warnings" ]; then
  printf 'the man page has warnings:\n%s\n' "$warnings" >&2
  exit 1
fi
page=$(man -P cat -l "$man/man1/annals.1")
grep -q 'annals tail' <<<"$page"
