# Sourced by quickstart and check: installs the Debian packages that are missing.
# SPDX-License-Identifier: Apache-2.0

# To compile: compiler, build tools, protoc, JSON headers; dpkg-dev unpacks the sources of abseil
# and protobuf (scripts/build_deps). CMake also looks for what the tests are compiled with.
build_packages=(build-essential dpkg-dev cmake ninja-build ccache protobuf-compiler
                nlohmann-json3-dev libxxhash-dev libgtest-dev libprotobuf-dev pkg-config
                python3)
# What the tests run beside their own programs.
test_packages=(valgrind swig python3-dev python3-numpy)
# What the fuzz targets are compiled with (scripts/fuzz, ./check --full).
fuzz_packages=(clang-14 libclang-rt-14-dev)

# need_packages PACKAGE...: no call of apt at all where nothing is missing.
need_packages() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
      echo "as root, please: apt-get install ${missing[*]}" >&2
      return 1
    }
    as_root=(sudo)
  fi
  echo "installing: ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install "${missing[@]}" >/dev/null
}

# step TEXT: a heading with the minutes since the start.
step() { printf '\n== %s  (%d:%02d)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

# build PRESET [TARGET...]: configures and builds. On a terminal ninja shows its own progress;
# elsewhere one line for each tenth of the work, and everything that is not progress. The tests'
# targets are there whatever an earlier configuration of the folder said.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" -DSCOUT_TESTS=ON --log-level=WARNING | sed -uE '/^(Preset CMake|  [A-Z_]+=|-- |$)/d' ||
    return 1
  local command=(cmake --build --preset "$preset" --)
  if [ -t 1 ]; then
    "${command[@]}" "$@"
  else
    NINJA_STATUS='%p ' "${command[@]}" "$@" | awk '
      !/^ *[0-9]+% / { print; fflush(); next }
      { p = int($1 / 10) * 10; if (p > last) { print "  " p " %"; fflush(); last = p } }'
  fi
}
