#!/usr/bin/env bash
# Prints the Python to build with: 3.11 or newer, able to make an environment.
#
# PYTHON=… chooses one, and then no other is tried.
set -euo pipefail

suits() { # 3.11+, venv with pip, headers to compile against
  "$1" - > /dev/null 2>&1 << 'END'
import ensurepip, os, sys, sysconfig, venv
headers = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(not (sys.version_info >= (3, 11) and os.path.exists(headers)))
END
}

if [[ -n ${PYTHON:-} ]]; then
  candidates=("$PYTHON")
else
  candidates=(python3 /usr/bin/python3 python3.13 python3.12 python3.11 python3.14)
fi
for candidate in "${candidates[@]}"; do
  if suits "$candidate"; then
    # Neither a version manager's shim nor the environment that we are in: the program itself.
    "$candidate" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))'
    exit 0
  fi
done

cat >&2 << END
No usable Python among: ${candidates[*]}
It must be 3.11 or newer, with the venv and ensurepip modules and the C headers (Python.h).
  Debian, Ubuntu:  apt-get install python3 python3-venv python3-dev gcc
  Fedora:          dnf install python3-devel gcc
  macOS:           brew install python
or name one:       PYTHON=/path/to/python3.12 make …
END
exit 1
