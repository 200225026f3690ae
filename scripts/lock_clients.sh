#!/usr/bin/env bash
# Writes requirements/clients-GROUP.lock from requirements/clients-GROUP.in: exact, newest versions.
#
# Each group is resolved for itself, because it has an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

uv_version=0.13.9 # as in lock.sh
tools=.cache/lock

if [[ ! -x $tools/bin/uv ]] || [[ $("$tools/bin/uv" --version) != "uv $uv_version"* ]]; then
  "$(scripts/find_python.sh)" -m venv --clear "$tools"
  "$tools/bin/pip" install --quiet "uv==$uv_version"
fi
for input in requirements/clients-*.in; do
  "$tools/bin/uv" pip compile "$input" --quiet --upgrade --universal --python-version 3.11 \
    --fork-strategy fewest --no-emit-index-url --no-emit-find-links --no-annotate \
    --custom-compile-command "make lock-clients" --output-file "${input%.in}.lock"
done
