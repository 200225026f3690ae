#!/usr/bin/env bash
# Writes requirements/*.lock: exact versions, for all supported Pythons at once.
#
#   make lock                     newest versions that fit
#   KEEP=1 make lock              only what pyproject.toml asks for has changed
#
# Every lock holds the package's own dependencies, those to build it, and one
# group or extra; all are cut from one resolution, so any two fit into one environment.
set -euo pipefail
cd "$(dirname "$0")/.."

uv_version=0.13.9
declare -A parts=([test]=--group=test [check]=--group=check [demo]=--extra=demo)
tools=.cache/lock
all=requirements/.all.lock

if [[ ! -x $tools/bin/uv ]] || [[ $("$tools/bin/uv" --version) != "uv $uv_version"* ]]; then
  "$(scripts/find_python.sh)" -m venv --clear "$tools"
  "$tools/bin/pip" install --quiet "uv==$uv_version"
fi

resolve() { # OUTPUT ARGUMENT…
  local output=$1
  shift
  "$tools/bin/uv" pip compile pyproject.toml --quiet --universal --python-version 3.11 \
    --fork-strategy fewest --no-emit-index-url --no-emit-find-links --no-annotate \
    --custom-compile-command "make lock" --group build --output-file "$output" "$@"
}

trap 'rm -f "$all"' EXIT
if [[ -n ${KEEP:-} ]]; then
  sort --unique requirements/{check,demo,test}.lock > "$all"
  resolve "$all" "${parts[@]}"
else
  resolve "$all" --upgrade "${parts[@]}"
fi
for part in "${!parts[@]}"; do
  resolve "requirements/$part.lock" --upgrade "${parts[$part]}" --constraint "$all"
done
