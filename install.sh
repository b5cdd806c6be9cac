#!/bin/sh
# Installs mtc, one executable, without root: sh install.sh
#
#   MTC_INSTALL_DIR   where it goes; ~/.local/bin if unset
#   MTC_VERSION       which version, for example 0.1.0; the latest if unset
#   MTC_MIRROR        the address of a directory that holds the release's files, in place of GitHub's
#
# What is downloaded is held against its SHA-256 and run once before it takes the place of an older mtc. If anything is not as it should be,
# nothing is changed and the exit code is 1.
set -eu

# OWNER/NAME, which the release workflow fills in (scripts/release/installers.ts).
repository='@REPOSITORY@'
scratch=

say() { printf '%s\n' "$*" >&2; }
die() {
  say "mtc's installer: $*"
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
clean() { [ -z "$scratch" ] || rm -rf "$scratch"; }
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

find_target() {
  system=$(uname -s) machine=$(uname -m)
  case $machine in
  x86_64 | amd64) architecture=x86_64 ;;
  aarch64 | arm64) architecture=aarch64 ;;
  *) die "Cannot install for $machine: mtc is built for x86-64 and arm64 alone." ;;
  esac
  case $system in
  Linux)
    require_glibc
    target=$architecture-unknown-linux-gnu
    ;;
  Darwin)
    # A shell under Rosetta calls an arm64 machine x86_64.
    if [ "$(sysctl -n hw.optional.arm64 2>/dev/null || true)" = 1 ]; then architecture=aarch64; fi
    target=$architecture-apple-darwin
    ;;
  MINGW* | MSYS* | CYGWIN*) die "Cannot install for Windows with this script: run install.ps1 in PowerShell." ;;
  *) die "Cannot install for $system: mtc is built for Linux, macOS and Windows." ;;
  esac
}

require_glibc() {
  version=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed -n 's/^glibc //p')
  [ -n "$version" ] || die "Cannot install here: mtc needs glibc 2.27 or newer, and this system (musl, as in Alpine?) has none; take one like Debian or Ubuntu."
  major=${version%%.*} minor=${version#*.}
  minor=${minor%%.*}
  [ "$major" -gt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -ge 27 ]; } ||
    die "Cannot install here: mtc needs glibc 2.27 or newer, this system has $version; take a newer one (Debian 10, Ubuntu 18.04, RHEL 8 and later)."
}

find_address() {
  address=${MTC_MIRROR:-}
  address=${address%/}
  [ -z "$address" ] || return 0
  case $repository in @*) die "Cannot download: this copy of the installer knows no address; set MTC_MIRROR to that of a release's files." ;; esac
  address=https://github.com/$repository/releases
  if [ -n "${MTC_VERSION:-}" ]; then address=$address/download/v${MTC_VERSION#v}; else address=$address/latest/download; fi
}

# fetch NAME: into the scratch directory.
fetch() {
  if has curl; then
    reason=$(curl --fail --silent --show-error --location --retry 2 --output "$scratch/$1" "$address/$1" 2>&1) && return
  elif has wget; then
    reason=$(wget -q --tries=3 -O "$scratch/$1" "$address/$1" 2>&1) && return
    reason=${reason:-wget failed}
  else
    die "Cannot download: neither curl nor wget is here; install one of them."
  fi
  case $reason in
  *[Ww]rit*) die "Cannot write $1 into $directory (${reason}); is there space? mtc takes 150 MB while it is installed." ;;
  *) die "Cannot download $address/$1 ($reason); is there a network, and such a release?" ;;
  esac
}

sum_of() {
  if has sha256sum; then
    sha256sum "$1" | cut -d ' ' -f 1
  elif has shasum; then
    shasum -a 256 "$1" | cut -d ' ' -f 1
  elif has openssl; then
    openssl dgst -sha256 -r "$1" | cut -d ' ' -f 1
  fi
}

verify() {
  expected=$(cut -d ' ' -f 1 "$scratch/$archive.sha256")
  case $expected in
  *[!0-9a-f]* | '') expected= ;;
  esac
  [ "${#expected}" -eq 64 ] || die "Cannot verify $archive: $archive.sha256 holds no SHA-256; nothing was installed."
  found=$(sum_of "$scratch/$archive")
  [ -n "$found" ] || die "Cannot verify $archive: none of sha256sum, shasum and openssl is here; install one of them."
  [ "$found" = "$expected" ] ||
    die "Cannot install $archive: its SHA-256 should be $expected, it is $found; it is damaged or not the release's, try again."
}

make_directory() {
  if [ -z "${MTC_INSTALL_DIR:-}" ] && [ -z "${HOME:-}" ]; then
    die "Cannot choose a directory: HOME is not set; set MTC_INSTALL_DIR."
  fi
  directory=${MTC_INSTALL_DIR:-$HOME/.local/bin}
  reason=
  { reason=$(mkdir -p "$directory" 2>&1) && scratch=$(mktemp -d "$directory/.mtc.XXXXXX" 2>/dev/null); } ||
    die "Cannot write into $directory${reason:+ ($reason)}; set MTC_INSTALL_DIR to a directory that you may write to."
  free=$(df -Pk "$directory" 2>/dev/null | sed -n '2s/.* \([0-9][0-9]*\)  *[0-9][0-9]*% .*/\1/p')
  [ -z "$free" ] || [ "$free" -ge 150000 ] ||
    die "Cannot install into $directory: it needs 150 MB while it is installed, $((free / 1000)) MB are free; make space or set MTC_INSTALL_DIR."
}

unpack() {
  has xz || die "Cannot unpack $archive: xz is not here; install it (Debian, Ubuntu: xz-utils), or install mtc with pip."
  tar -xJmf "$scratch/$archive" -C "$scratch" mtc 2>"$scratch/log" ||
    die "Cannot unpack $archive ($(head -n 1 "$scratch/log")); is there space? mtc takes 150 MB while it is installed."
}

find_target
find_address
make_directory
archive=mtc-$target.tar.xz
say "Installing $archive from $address into $directory"
fetch "$archive.sha256"
fetch "$archive"
verify
unpack
version=$("$scratch/mtc" --version 2>"$scratch/log" | head -n 1)
[ -n "$version" ] || die "Cannot run mtc on this system ($(head -n 1 "$scratch/log")); nothing was installed."
mv -f "$scratch/mtc" "$directory/mtc" || die "Cannot replace $directory/mtc; set MTC_INSTALL_DIR to another directory."
say "$version is installed: $directory/mtc"
case :$PATH: in
*":$directory:"*) say "Next: mtc doctor" ;;
*) say "$directory is not on PATH. Next: $directory/mtc doctor" ;;
esac
