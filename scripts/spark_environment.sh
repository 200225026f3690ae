#!/usr/bin/env bash
# Makes .venv-spark-LINE hold PySpark of requirements/spark-LINE.lock, and fetches its S3A connector.
#
#   scripts/spark_environment.sh 3.5 4.0        without a LINE it only sees to Java
#
# Does nothing when nothing changed. Connectors are cached in $XDG_CACHE_HOME/sidegate/spark. Needs `sidegate` on PATH (scripts/environment.sh) and Java 17, which
# is installed with apt-get when that is there and we are root. PYTHON=… chooses the interpreter.
# SIDEGATE_SPARK_3_5=… and the like name environments that are there already. SPARK_NEWEST=1 ignores the
# locks and installs the newest PySpark of each line.
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

install_pyspark() { # LINE VENV
  local lock=requirements/spark-$1.lock venv=$2 stamp
  stamp="$(sha256sum "$lock")${SPARK_NEWEST:+ newest}"
  [[ -f $venv/.stamp && $(< "$venv/.stamp") == "$stamp" ]] && return
  say "installing PySpark $1 into $venv (some 400 MB)"
  "$(scripts/find_python.sh)" -m venv --clear "$venv"
  # PySpark comes as sources: what builds it goes first.
  grep '^setuptools==' "$lock" > "$venv/build.txt"
  install "$venv" --requirement "$venv/build.txt"
  if [[ -n ${SPARK_NEWEST:-} ]]; then
    grep '^py4j==' "$lock" > "$venv/py4j.txt"
    install "$venv" --requirement "$venv/py4j.txt"
    install "$venv" --no-build-isolation --use-pep517 "pyspark==$1.*"
  else
    install "$venv" --no-build-isolation --use-pep517 --requirement "$lock"
  fi
  printf '%s\n' "$stamp" > "$venv/.stamp"
}

make_environment() { # LINE
  local chosen=SIDEGATE_SPARK_${1/./_} venv home
  venv=${!chosen:-}
  if [[ -z $venv ]]; then
    venv=.venv-spark-$1
    install_pyspark "$1" "$venv"
  fi
  home=$("$venv/bin/python" -c 'import pyspark; print(pyspark.__path__[0])')
  sidegate spark fetch --spark-home "$home" > /dev/null
}

require_java
for line in "$@"; do
  make_environment "$line"
done
