#!/usr/bin/env bash
# An install prefix that was moved, used by a C99 program through pkg-config, under valgrind.
# SPDX-License-Identifier: Apache-2.0
# usage: install_test.sh BUILD_DIR SOURCE_DIR CC MODEL
set -euo pipefail
build=$1 source=$2 cc=$3 model=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/first" >"$work/install.log"
mv "$work/first" "$work/prefix"  # nothing in it may know where it was put
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name scout.pc)")
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion scout)" = "$("$work/prefix/bin/scout" --version | grep -oE '[0-9.]+')" ]

read -ra flags <<<"$(pkg-config --cflags --libs scout)"
libdir=$(pkg-config --variable=libdir scout)
for example in ask tools serve; do
  "$cc" -std=c99 -pedantic -Wall -Wextra -Werror "$source/examples/c/$example.c" "${flags[@]}" \
        -Wl,-rpath,"$libdir" -o "$work/$example"
done
readelf -d "$work/ask" | grep -q 'NEEDED.*libscout\.so\.[0-9]'

memcheck=(valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=all
          --errors-for-leak-kinds=all --suppressions="$source/tests/house/valgrind.supp")
"$work/ask" "$model" "What is the capital of France?" >"$work/plain"
"${memcheck[@]}" "$work/ask" "$model" "What is the capital of France?" >"$work/answer"
[ -s "$work/answer" ] || { echo "no answer" >&2; exit 1; }
echo "the answer: $(cat "$work/answer")"
"${memcheck[@]}" "$work/tools" "$source/tests/golden/tokenizer/llama4" python \
  'So: [get_weather(city="Oslo")]' >"$work/tools.out"
grep -qx 'call       0 get_weather|{"city": "Oslo"}|' "$work/tools.out"

# Two clients at once: a stop string, one who hangs up after three tokens and asks again.
"${memcheck[@]}" "$work/serve" "$model" "What is the capital of France?" "Count from 3 to 7." \
  >"$work/serve.out"
pieces() { sed -n "s/^$1> //p" | tr -d '\n'; }
if [ "$(pieces 1 <"$work/serve.out")" != "The capital of France is Paris" ] ||
   ! grep -q '^1: stop string, ' "$work/serve.out" ||
   [ "$(sed '/^2: cancelled/,$d' "$work/serve.out" | grep -c '^2> ')" != 3 ] ||
   [ "$(sed '1,/^2: cancelled/d' "$work/serve.out" | pieces 2)" != "The capital of France is Paris." ]
then
  cat "$work/serve.out"
  echo "not what serve.c should print" >&2
  exit 1
fi

# The same through find_package, the way the README says.
mkdir "$work/host"
{
  printf 'cmake_minimum_required(VERSION 3.13)\nproject(host C)\n'
  sed -n '/^    find_package(scout/,/^$/s/^    //p' "$source/README.md"
} >"$work/host/CMakeLists.txt"
cp "$source/examples/c/ask.c" "$work/host"
cmake -S "$work/host" -B "$work/host/build" -DCMAKE_C_COMPILER="$cc" \
      -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/host.log"
cmake --build "$work/host/build" >>"$work/host.log"
"$work/host/build/ask" "$model" "What is the capital of France?" | cmp - "$work/plain"

# The README's own commands, in a home of their own.
commands=$(sed -n '/^    cmake --install/,/^$/s/^    //p' "$source/README.md")
[ "$(wc -l <<<"$commands")" -ge 4 ] || { echo "the README's commands are gone" >&2; exit 1; }
mkdir -p "$work/home" "$work/copy"
ln -s "$source/examples" "$source/models" "$work/copy"
(cd "$work/copy" && HOME=$work/home bash -euc "${commands//build\/release/$build}") >"$work/readme.out"
grep -q Paris "$work/readme.out" || { cat "$work/readme.out"; echo "the README's way fails" >&2; exit 1; }

# The way out of an error is clean too.
status=0
"${memcheck[@]}" "$work/ask" "$work/missing" "?" 2>"$work/error" || status=$?
[ "$status" = 1 ] || { cat "$work/error"; echo "exit status $status, expected 1" >&2; exit 1; }
grep -q SCOUT_NOT_FOUND "$work/error"
[ "$(grep -o "$work/missing" "$work/error" | wc -l)" = 1 ] || { cat "$work/error"; exit 1; }
