#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev setup [GROUP...]: installs the packages of these groups of scripts/packages.txt (default: all).
. scripts/common.sh

# Prints 12, 13, ..., or nothing on other systems.
# shellcheck source=/dev/null
release=$( (. /etc/os-release 2>/dev/null && [ "${ID:-}" = debian ] && printf '%s' "${VERSION_ID:-}") || true)

groups=("$@")
[ $# -gt 0 ] || mapfile -t groups < <(awk '!/^#/ {print $1}' scripts/packages.txt | sort -u)
for group in "${groups[@]}"; do
  grep -q "^$group " scripts/packages.txt || die "scripts/packages.txt has no group '$group'"
done

# Prints a column of the groups' rows, for this release: 2 are the packages, 3 the tools and headers.
column() {
  awk -v column="$1" -v release="$release" -v groups=" ${groups[*]} " '
    /^#/ || index(groups, " " $1 " ") == 0 { next }
    { at = index($2, "@"); of = at ? substr($2, at + 1) : ""; if (at) $2 = substr($2, 1, at - 1) }
    of != "" && release != "" && of != release { next }
    { print $column }' scripts/packages.txt | sort -u
}

cmake_is_good() {  # CMake 4.4 breaks synthesized BMIs with clang; below 3.28 there are no modules
  local version
  version=$(cmake --version 2>/dev/null | awk 'NR == 1 {print $3}')
  [ -n "$version" ] && [ "$(printf '%s\n3.28\n' "$version" | sort -V | head -n 1)" = 3.28 ] &&
    [ "$(printf '%s\n4.4\n' "$version" | sort -V | head -n 1)" = "$version" ]
}

missing_packages() {
  local package
  for package in $(column 2); do
    case "$package" in
      cmake) cmake_is_good || echo cmake ;;
      *) dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package" ;;
    esac
  done
}

# On a system with other package names: looks for the tools and headers themselves.
missing_things() {
  local thing
  for thing in $(column 3); do
    case "$thing" in
      -) ;;
      cmake) cmake_is_good || echo "cmake (3.28 to 4.3)" ;;
      */* | *.h) [ -e "/usr/include/$thing" ] || [ -e "/usr/local/include/$thing" ] || echo "$thing (development files)" ;;
      *) command -v "$thing" >/dev/null || echo "$thing" ;;
    esac
  done
  [[ " ${groups[*]} " != *" test "* ]] || python3 -c 'import jsonschema' 2>/dev/null || echo "jsonschema (for python3)"
}

sudo=
apt_get() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 "$@"; }

add_backports() {  # the release's own backports suite, on the mirror that this machine uses
  local site
  apt-cache policy | grep -q bookworm-backports && return 0
  # shellcheck disable=SC2016  # apt-get replaces these, not the shell
  site=$(apt-get indextargets --format '$(SITE) $(RELEASE)' | awk '$2 == "bookworm" {print $1; exit}')
  [ -n "$site" ] || die "no apt source for bookworm is configured; expected one to take the mirror's address from"
  {
    printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\n' "$site"
    if [ -e /usr/share/keyrings/debian-archive-keyring.gpg ]; then
      printf 'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n'
    fi
  } | $sudo tee /etc/apt/sources.list.d/bookworm-backports.sources >/dev/null
  apt_get update
}

case "$release" in
  12 | 13) ;;
  *)
    missing=$(missing_things)
    [ -z "$missing" ] && exit 0
    printf 'dev: this system is neither Debian 12 nor 13, so these must be installed by hand:\n%s\n' "$missing" >&2
    exit 2 ;;
esac
missing=$(missing_packages)
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; then
    sudo=sudo
  else
    printf 'dev: these packages are missing, and neither root nor sudo is available to install them:\n%s\n' "$missing" >&2
    exit 2
  fi
fi
say "setup: installing ${missing//$'\n'/ }"
apt_get update
if [ "$release" = 12 ] && grep -qx cmake <<<"$missing"; then
  add_backports
  apt_get install --no-install-recommends -t bookworm-backports cmake
  missing=$(missing_packages)
fi
# shellcheck disable=SC2086  # one word per package
[ -z "$missing" ] || apt_get install --no-install-recommends $missing
missing=$(missing_packages)
[ -z "$missing" ] || die "apt reported success, but these packages are still missing: $missing"
