#!/usr/bin/env bash
# Measures here what the requests of another commit cost, for `make bench-gates BASE=COMMIT`.
#
#   scripts/measure_base.sh COMMIT FOLDER
#
# FOLDER/stored gets the figures as that commit has them, FOLDER/measured those
# of this environment.  Does nothing where the stored figures are of this
# environment, for then they are compared themselves.
set -euo pipefail
cd "$(dirname "$0")/.."

commit=$1 folder=$2 tree=build/base
say() { printf '[gates] %s\n' "$*"; }

rm -rf "$folder"
if PYTHONPATH=bench python3 -m gates same-environment; then
  exit 0
fi
if ! git rev-parse --quiet --verify "$commit^{commit}" > /dev/null; then
  say "there is no commit $commit to compare with"
  exit 0
fi
if ! git cat-file -e "$commit:bench/gates/figures.json" 2> /dev/null; then
  say "commit $commit has no gates to compare with"
  exit 0
fi

say "measuring commit $commit in this environment"
git worktree remove --force "$tree" 2> /dev/null || rm -rf "$tree"
git worktree add --quiet --detach "$tree" "$commit"
trap 'git worktree remove --force "$tree"' EXIT
(
  cd "$tree"
  unset VENV
  scripts/environment.sh test
  PYTHONPATH=bench .venv/bin/python -m gates accept --only instructions --reason "measured anew"
)
mkdir -p "$folder/stored" "$folder/measured"
git show "$commit:bench/gates/figures.json" > "$folder/stored/figures.json"
cp "$tree/bench/gates/figures.json" "$folder/measured/"
