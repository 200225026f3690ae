#!/usr/bin/env bash
# Fails when Cython hints that generated C may take the GIL where it need not.
#
# The hints are only printed, and the code they speak of works, slowly.
set -euo pipefail
cd "$(dirname "$0")/.."

output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
for source in ext/*.pyx; do
  name=$(basename "$source" .pyx)
  cython -3 -I ext -I src --module-name "sidegate.native._$name" --output-file "$output/$name.c" "$source" 2>> "$output/messages"
done
if [[ -s $output/messages ]]; then
  cat "$output/messages" >&2
  exit 1
fi
echo "Cython: no hints, no warnings"
