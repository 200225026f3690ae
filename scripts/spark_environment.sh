#!/usr/bin/env bash
# Makes .venv-spark-LINE hold PySpark of requirements/spark-LINE.lock, and fetches its S3A connector.
#
#   scripts/spark_environment.sh 3.5 4.0
#
# Does nothing when nothing changed. Needs `sidegate` on PATH (scripts/environment.sh) and Java 17, which
# is installed with apt-get when that is there and we are root. PYTHON=… chooses the interpreter.
# SIDEGATE_SPARK_3_5=… and SIDEGATE_SPARK_4_0=… name environments that are there already.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '[spark] %s\n' "$*"; }

require_java() {
  if [[ -n ${JAVA_HOME:-} ]] || command -v java > /dev/null; then
    return
  fi
  if [[ $(id -u) -eq 0 ]] && command -v apt-get > /dev/null; then
    say "installing Java 17 with apt-get"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless
  else
    say "there is no Java, and Spark needs one: install Java 17 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless)"
    exit 1
  fi
}

install() { # VENV ARGUMENT…
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "${@:2}"
}

make_environment() { # LINE
  local lock=requirements/spark-$1.lock venv=.venv-spark-$1 chosen=SIDEGATE_SPARK_${1/./_} stamp
  if [[ -n ${!chosen:-} ]]; then
    venv=${!chosen}
  else
    stamp=$(sha256sum "$lock")
    if [[ ! -f $venv/.stamp || $(< "$venv/.stamp") != "$stamp" ]]; then
      say "installing PySpark $1 into $venv (some 400 MB)"
      "$(scripts/find_python.sh)" -m venv --clear "$venv"
      # PySpark comes as sources: what builds it goes first.
      grep '^setuptools==' "$lock" > "$venv/build.txt"
      install "$venv" --requirement "$venv/build.txt"
      install "$venv" --no-build-isolation --use-pep517 --requirement "$lock"
      printf '%s\n' "$stamp" > "$venv/.stamp"
    fi
  fi
  sidegate spark fetch --spark-home "$("$venv/bin/python" -c 'import pyspark; print(pyspark.__path__[0])')" > /dev/null
}

require_java
for line in "$@"; do
  make_environment "$line"
done
