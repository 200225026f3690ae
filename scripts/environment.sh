#!/usr/bin/env bash
# Makes .venv hold this package and the named groups of requirements/GROUP.lock.
#
#   scripts/environment.sh test demo
#
# Does nothing when nothing changed: each part leaves a hash of what it was made
# from.  VENV=… puts the environment elsewhere, PYTHON=… chooses the interpreter,
# SIDEGATE_BUILD_NATIVE=off leaves the extension out.  What the system lacks is
# installed with apt-get when that is there and we are root, else it is named.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv}
native=${SIDEGATE_BUILD_NATIVE:-require}
stamps=$venv/.stamps

say() { printf '[environment] %s\n' "$*"; }

fingerprint() { # FILE…: of their names and contents, and of what else decides
  "$venv/bin/python" - "$native" "$@" << 'END'
import hashlib, pathlib, sys
state = hashlib.sha256(f"{sys.version} {sys.argv[1]}".encode())
for name in sys.argv[2:]:
    state.update(name.encode() + b"\0" + pathlib.Path(name).read_bytes())
print(state.hexdigest())
END
}

unchanged() { [[ -f $stamps/$1 && $(< "$stamps/$1") == "$2" ]]; } # PART FINGERPRINT

has_compiler() { command -v cc > /dev/null || command -v gcc > /dev/null || command -v clang > /dev/null; }

install_system_packages() { # PACKAGE…
  if [[ $(id -u) -ne 0 ]] || ! command -v apt-get > /dev/null; then
    return 1
  fi
  say "installing with apt-get: $*"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

require_compiler() {
  [[ $native == off ]] && return
  if ! has_compiler && ! { install_system_packages gcc libc6-dev && has_compiler; }; then
    say "there is no C compiler, and the native extension needs one:"
    say "install gcc or clang (Debian, Ubuntu: apt-get install gcc libc6-dev; macOS: xcode-select --install)"
    exit 1
  fi
}

find_python() {
  if ! scripts/find_python.sh 2> /dev/null; then
    if [[ -z ${PYTHON:-} ]]; then
      install_system_packages python3 python3-venv python3-dev >&2 || true
    fi
    scripts/find_python.sh
  fi
}

is_of_chosen_python() {
  local version='import sys; print(sys.version)'
  [[ -z ${PYTHON:-} || $("$PYTHON" -c "$version") == "$("$venv/bin/python" -c "$version")" ]]
}

make_venv() {
  if "$venv/bin/python" -m pip --version > /dev/null 2>&1 && is_of_chosen_python; then
    return
  fi
  local python
  python=$(find_python)
  say "making $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv"
}

install_groups() { # GROUP…
  local group changed=() arguments=()
  for group in "$@"; do
    if ! unchanged "$group" "$(fingerprint "requirements/$group.lock")"; then
      changed+=("$group")
      arguments+=(--requirement "requirements/$group.lock")
    fi
  done
  [[ ${#changed[@]} -eq 0 ]] && return
  say "installing locked dependencies: ${changed[*]}"
  # A lock is complete, so nothing needs resolving.
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "${arguments[@]}"
  for group in "${changed[@]}"; do
    fingerprint "requirements/$group.lock" > "$stamps/$group"
  done
}

is_built() {
  local suffix='import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))'
  [[ $native == off || -f src/sidegate/native/_gear$("$venv/bin/python" -c "$suffix") ]]
}

install_package() {
  local inputs=(pyproject.toml setup.py ext/*.[ph]* src/sidegate/version.py) current problems
  current=$(fingerprint "${inputs[@]}")
  unchanged package "$current" && is_built && return
  require_compiler
  say "building the package (native extension: $native)"
  rm -f "$stamps/package"
  SIDEGATE_BUILD_NATIVE=$native "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-build-isolation --no-deps --editable .
  problems=$("$venv/bin/python" -m pip check --disable-pip-version-check) || { say "$problems"; exit 1; }
  "$venv/bin/python" -c 'import sidegate.native as n; s = n.describe(); print(f"[environment] {s.implementation}: {s.reason}")'
  printf '%s\n' "$current" > "$stamps/package"
}

make_venv
mkdir -p "$stamps"
install_groups "$@"
install_package
