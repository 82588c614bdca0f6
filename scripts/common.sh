# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the commands of ./dev share. Sourced by them; the working directory is the project's.
set -euo pipefail
umask 022
export LC_ALL=C.UTF-8

# One compiler for each processor, and for each 1.5 GiB of memory that is available.
jobs=$(nproc)
mib=$(awk '/MemAvailable/ {print int($2 / 1024)}' /proc/meminfo 2>/dev/null || echo 4096)
if [ "$jobs" -gt $((mib / 1536 + 1)) ]; then jobs=$((mib / 1536 + 1)); fi

# Prints a heading, with the minutes and seconds since the command began.
say() { printf '\n== %s (%d:%02d)\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }
die() { printf 'dev: %s\n' "$*" >&2; exit 2; }

need() { scripts/setup.sh "$@"; }  # need GROUP...: of scripts/packages.txt

# configure PRESET [CMAKE_ARGUMENT...]: prints CMake's output only when it fails.
configure() {
  local preset=$1 log
  say "configure: build/$preset"
  mkdir -p build
  log=build/configure-$preset.log
  cmake --preset "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
}

compile() { cmake --build "build/$1" --parallel "$jobs" --target "${@:2}"; }  # compile PRESET TARGET...

# python_venv DIRECTORY PACKAGE...: a virtual environment with packages of the Python package index.
python_venv() {
  local directory=$1
  [ "$(cat "$directory/ready" 2>/dev/null)" = "${*:2}" ] && return 0
  say "setup: ${*:2} into $directory"
  rm -rf "$directory"
  mkdir -p "$(dirname "$directory")"
  python3 -m venv "$directory"
  "$directory/bin/pip" install -q "${@:2}" || die "cannot install ${*:2} from the Python package index, which the tests need"
  printf '%s\n' "${*:2}" >"$directory/ready"
}
conan_venv() { python_venv build/conan/venv 'conan>=2.5,<3'; }
interop_venv() { python_venv build/interop/venv duckdb zstandard; }

# run_tests PRESET [CTEST_ARGUMENT...]: runs more tests at a time than there are processors, since many of them wait. Those of a
# sanitizer build keep their files in memory; those of a release build use the disk. Writes build/tests-PRESET.xml.
run_tests() {
  local preset=$1 memory='' status=0
  if [ "$preset" != release ] && [ -w /dev/shm ]; then
    memory=$(mktemp -d /dev/shm/annals-tests-XXXXXX)
    chmod 1777 "$memory"  # as /tmp is: some tests become another user
  fi
  TMPDIR=${memory:-${TMPDIR:-/tmp}} ctest --test-dir "build/$preset" --output-on-failure --parallel $((jobs + (jobs + 1) / 2)) \
    --no-tests=error --output-junit "$PWD/build/tests-$preset.xml" "${@:2}" || status=$?
  [ -z "$memory" ] || rm -rf "$memory"
  return "$status"
}
