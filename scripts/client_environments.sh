#!/usr/bin/env bash
# Makes .venv-clients/GROUP hold the S3 clients of requirements/clients-GROUP.lock.
#
#   scripts/client_environments.sh core                 fails when one cannot be had
#   scripts/client_environments.sh --try core kfp       says which cannot be had, and goes on
#
# Does nothing for a group that did not change.  CLIENTS_NEWEST=1 ignores the locks
# and installs the newest versions.  rclone is no Python package: where it is missing
# and we are root, apt-get installs it.
set -euo pipefail
cd "$(dirname "$0")/.."

environments=.venv-clients
newest=${CLIENTS_NEWEST:-}
tolerant=

say() { printf '[clients] %s\n' "$*"; }

requirements_of() { # GROUP
  if [[ -n $newest ]]; then
    printf 'requirements/clients-%s.in\n' "$1"
  else
    printf 'requirements/clients-%s.lock\n' "$1"
  fi
}

fingerprint() { # PYTHON FILE
  "$1" -c 'import sys; print(sys.version, *sys.argv[1:]); print(open(sys.argv[1]).read())' "$2" | sha256sum
}

install_group() { # GROUP
  local group=$1 python requirements directory=$environments/$1 current
  requirements=$(requirements_of "$group")
  python=$(scripts/find_python.sh) || return
  current=$(fingerprint "$python" "$requirements")
  if [[ -z $newest && -f $directory/.stamp && $(< "$directory/.stamp") == "$current" ]]; then
    return
  fi
  say "installing $requirements into $directory"
  rm -rf "$directory"
  "$python" -m venv "$directory" || return
  local arguments=(--requirement "$requirements")
  [[ -n $newest ]] || arguments+=(--no-deps)
  "$directory/bin/python" -m pip install --quiet --disable-pip-version-check "${arguments[@]}" || return
  "$directory/bin/python" -m pip check --disable-pip-version-check --quiet || return
  printf '%s\n' "$current" > "$directory/.stamp"
}

install_rclone() {
  command -v rclone > /dev/null && return
  if [[ $(id -u) -eq 0 ]] && command -v apt-get > /dev/null; then
    say "installing rclone with apt-get"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rclone; } && return
  fi
  say "rclone is not installed (Debian, Ubuntu: apt-get install rclone), its tests are not run"
}

if [[ ${1:-} == --try ]]; then
  tolerant=1
  shift
fi
install_rclone || true
for group in "$@"; do
  if ! install_group "$group"; then
    rm -rf "${environments:?}/$group"
    say "the clients of $(requirements_of "$group") could not be installed"
    [[ -n $tolerant ]] || exit 1
  fi
done
