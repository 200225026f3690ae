#!/usr/bin/env bash
# Installs what `make bench-gates` counts with, valgrind and strace, where that can be done.
#
# Without them the gates say what was not compared; so this fails only when an
# installation that was begun does.
set -euo pipefail

missing=()
for tool in valgrind strace; do
  command -v "$tool" > /dev/null || missing+=("$tool")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  as_root=(sudo -n)
  if ! sudo -n true 2> /dev/null; then
    echo "[gates] not installed, and installing takes root: ${missing[*]}"
    exit 0
  fi
fi
if ! command -v apt-get > /dev/null; then
  echo "[gates] not installed, and there is no apt-get to install with: ${missing[*]}"
  exit 0
fi
echo "[gates] installing with apt-get: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
