#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev lane gcc15: builds and tests with GCC 15, which Debian 12 and 13 do not have, in a Debian testing root under build/gcc15.
. scripts/common.sh
[ "${1:-}" = gcc15 ] || die "unknown lane '${1:-}'; expected gcc15"
[ "$(id -u)" -eq 0 ] || die "the lane needs root: it makes a Debian root and enters it"

# The compiler, and what the build and the tests need. Conan's profiles and the documentation's commands are for clang, and other
# people's tools read the same bytes whichever compiler wrote them: these tests are left out.
packages=g++-15,cmake,ninja-build,make,libboost-dev,libboost-json-dev,libgtest-dev,libcli11-dev,libzstd-dev,zstd,python3
packages+=,python3-jsonschema,binutils,rustc,jq,rsyslog,zsh,man-db,tzdata,procps,e2fsprogs,mount
left_out='packaging.conan_|interop|packaging.example_'

root=build/gcc15/root
need lane
if [ "$(cat build/gcc15/ready 2>/dev/null)" != "$packages" ]; then
  say "lane: Debian testing with GCC 15 into $root"
  rm -rf build/gcc15
  mkdir -p build/gcc15
  # shellcheck disable=SC2016  # apt-get replaces these, not the shell
  site=$(apt-get indextargets --format '$(SITE) $(LABEL)' | awk '$2 == "Debian" {print $1; exit}')
  [ -n "$site" ] || die "no apt source of Debian is configured; expected one to take the mirror's address from"
  # A mirror may lag behind what its own index calls valid.
  mmdebstrap --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
    --include="$packages" testing "$root" "deb $site testing main"
  printf '%s\n' "$packages" >build/gcc15/ready
fi
say "lane: build and test with GCC 15; left out: $left_out"
mkdir -p "$root/annals"
# shellcheck disable=SC2016  # the inner shell expands these
unshare --mount bash -c '
  set -euo pipefail
  root=$1
  mount --bind "$root" "$root"  # a root that tests may mount beneath
  mount --make-rprivate "$root"
  mount --bind "$PWD" "$root/annals"
  mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/dev/shm"
  exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    bash -c "cd /annals && cmake --preset gcc15 && cmake --build build/gcc15/build --parallel $2 &&
      ctest --test-dir build/gcc15/build --output-on-failure --parallel $2 --no-tests=error -E \"$3\""
' lane "$root" "$jobs" "$left_out"
