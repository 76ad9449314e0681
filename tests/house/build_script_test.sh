#!/usr/bin/env bash
# The `build` of scripts/packages.sh, with a cmake that only writes down how it was called.
# SPDX-License-Identifier: Apache-2.0
# usage: build_script_test.sh SOURCE_DIR
set -euo pipefail
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\necho "$@" >>"%s/calls"\n' "$work" >"$work/cmake"
chmod +x "$work/cmake"
PATH=$work:$PATH
. "$source/scripts/packages.sh"
build release scout kv_tests >/dev/null

# An earlier -DSCOUT_TESTS=OFF stays in the folder's cache, so that it has to be said each time.
grep -q -- '^--preset release .*-DSCOUT_TESTS=ON' "$work/calls" || {
  cat "$work/calls"
  echo "build does not configure the tests" >&2
  exit 1
}
grep -qx -- '--build --preset release -- scout kv_tests' "$work/calls"
