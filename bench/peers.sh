#!/usr/bin/env bash
# Installs the S3 servers that `sidegate bench self` compares with, as far as package registries have them.
#
#   bench/peers.sh [versitygw] [rclone] [s3s-fs]      all of them without a name
#
# versitygw and rclone need Go, s3s-fs needs cargo; each takes minutes.  Programs go where these tools
# put them (GOBIN, CARGO_INSTALL_ROOT), which must be on PATH for them to be found.  MinIO is in neither
# registry: it takes part when `minio` is on PATH.
set -euo pipefail

# The versions that docs/benchmarks.md speaks of; s3s-fs after that wants a newer Rust than 1.95.
VERSITYGW=v1.7.0
RCLONE=v1.75.0
S3S_FS=0.14.1

say() { printf '[peers] %s\n' "$*"; }

need() { # TOOL PEER
  command -v "$1" > /dev/null && return
  say "$2 needs $1, which is not installed: it will not take part"
  return 1
}

install_peer() {
  if command -v "$1" > /dev/null; then
    say "$1 is there: $(command -v "$1")"
    return
  fi
  case $1 in
    versitygw) need go "$1" && go install "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW" ;;
    rclone) need go "$1" && go install "github.com/rclone/rclone@$RCLONE" ;;
    s3s-fs) need cargo "$1" && cargo install s3s-fs --version "$S3S_FS" --features binary --locked ;;
    *) say "there is no peer $1: use versitygw, rclone or s3s-fs" && return 2 ;;
  esac
}

# What was installed before is found, also where PATH does not name the folder yet.
export PATH=$PATH:${GOBIN:-${GOPATH:-$HOME/go}/bin}:${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}/bin

[[ $# -gt 0 ]] || set -- versitygw rclone s3s-fs
failed=()
for peer in "$@"; do
  install_peer "$peer" || failed+=("$peer")
done
if [[ ${#failed[@]} -gt 0 ]]; then
  say "not installed: ${failed[*]}"
  exit 1
fi
