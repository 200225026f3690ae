#!/usr/bin/env bash
# Runs pytest twice: most tests side by side, then those marked `alone`, one after another.
#
#   scripts/run_tests.sh MARK ARGUMENT…
#
# MARK chooses among all of them, "" for any.  PARALLEL are the options of the first run; without them
# all tests run one after another.
set -euo pipefail

readonly nothing_found=5 # pytest's exit code
mark=$1
shift

run() { # EXPRESSION ARGUMENT…; sets `status`
  local expression=$1
  shift
  status=0
  python3 -m pytest -m "${mark:+($mark) and }$expression" "$@" || status=$?
}

# shellcheck disable=SC2086 # options
run "not alone" ${PARALLEL:-} "$@"
first=$status
[[ $first -eq 0 || $first -eq $nothing_found ]] || exit "$first"
run "alone" "$@"
[[ $status -ne $nothing_found ]] || status=$first
exit "$status"
