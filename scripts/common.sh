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

# python_venv NAME: build/NAME/venv, a virtual environment with the packages of scripts/requirements/NAME.txt. Only files with the hashes
# that stand there are installed, whatever the package index offers, and nothing else is downloaded to build them.
python_venv() {
  local directory=build/$1/venv requirements=scripts/requirements wanted
  wanted=$(cat "$requirements/build.txt" "$requirements/$1.txt" | sha256sum)
  [ "$(cat "$directory/ready" 2>/dev/null)" = "$wanted" ] && return 0
  say "setup: $requirements/$1.txt into $directory"
  rm -rf "$directory"
  mkdir -p "$(dirname "$directory")"
  python3 -m venv "$directory"
  { "$directory/bin/pip" install -q --require-hashes -r "$requirements/build.txt" &&
    "$directory/bin/pip" install -q --require-hashes --no-build-isolation -r "$requirements/$1.txt"; } ||
    die "cannot install the packages of $requirements/$1.txt from the Python package index, which the tests need"
  printf '%s\n' "$wanted" >"$directory/ready"
}
conan_venv() { python_venv conan; }
interop_venv() { python_venv interop; }

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
