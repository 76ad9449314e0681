#!/usr/bin/env bash
# A build folder remembers where its dependencies lie. SPDX-License-Identifier: Apache-2.0
# usage: deps_dir_test.sh SOURCE_DIR DEPS_DIR
set -euo pipefail
source=$1 deps=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$deps" "$work/deps"

configure() {
  cmake -S "$source" -B "$work/build" -G Ninja -DSCOUT_TESTS=OFF >"$work/log" || {
    cat "$work/log"
    exit 1
  }
}
SCOUT_DEPS_DIR=$work/deps configure
# Before the second call, which would build the dependencies anew where this has failed.
grep -qx "SCOUT_DEPS_DIR:PATH=$work/deps" "$work/build/CMakeCache.txt" || {
  echo "SCOUT_DEPS_DIR is not kept" >&2
  exit 1
}
unset SCOUT_DEPS_DIR
configure
grep -q "$work/deps/.*/libabsl.a" "$work/build/build.ninja"
