# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the tests of the Conan package share: Conan, the profile for this system, and an empty cache. Sourced with the project's folder
# and the folder to work in.
# Exit code 77: skipped, since there is no Conan, or no profile for this system.
source=$1 work=$2
conan=$source/build/conan/venv/bin/conan
# shellcheck source=/dev/null
system=$(. /etc/os-release && printf '%s%s' "${ID:-}" "${VERSION_ID:-}")
profile=$source/conan/profiles/$system-clang19
skip() {
  printf 'NOT TESTED: the Conan package. %s\n' "$1" >&2
  exit 77
}
"$conan" --version >/dev/null 2>&1 || skip "There is no Conan at $conan, where ./dev test installs it."
[ -f "$profile" ] || skip "There is no profile for this system: $profile."
rm -rf "$work"
mkdir -p "$work"
export CONAN_HOME=$work/home
unset CXX CXXFLAGS LDFLAGS CMAKE_PREFIX_PATH CMAKE_GENERATOR CMAKE_BUILD_TYPE LD_LIBRARY_PATH
