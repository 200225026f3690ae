#!/usr/bin/env bash
# Builds the sdist, and from it alone the native and the pure wheel; looks inside.
#
#   scripts/build_wheels.sh DIRECTORY       (in an environment made for `test`)
set -euo pipefail
cd "$(dirname "$0")/.."

directory=${1:?where to put them}
rm -rf "$directory"
mkdir -p "$directory"

python3 -c 'import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])' \
  "$directory" > /dev/null
sdist=$(ls "$directory"/*.tar.gz)

build() { # MODE
  SIDEGATE_BUILD_NATIVE=$1 python3 -m pip wheel --quiet --disable-pip-version-check --no-cache-dir \
    --no-build-isolation --no-deps --wheel-dir "$directory" "$sdist"
}
build require
build off
python3 scripts/inspect_wheels.py "$directory"
