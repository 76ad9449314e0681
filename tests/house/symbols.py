#!/usr/bin/env python3
"""What libscout.so shows to a host, and what the kernels' ISA files leave to the linker.

SPDX-License-Identifier: Apache-2.0

usage: symbols.py LIBRARY SCOUT_H MAJOR.MINOR [OBJECT...]

- exports exactly the functions that scout.h declares
- needs no abseil or protobuf, has the right SONAME, no text relocations, no executable stack
- each OBJECT (a file compiled with -m flags) defines no weak symbol: the linker could keep its copy
  of an inline function for the whole library, an illegal instruction on a lesser machine
"""
import re
import subprocess
import sys


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def exported(library):
    return {line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()}


def declared(header):
    with open(header, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    return set(re.findall(r"SCOUT_API[^;(]*?\b(scout_\w+)\s*\(", text))


def weak(obj):
    lines = [line.split() for line in run("nm", "--defined-only", obj).splitlines()]
    return [line[-1] for line in lines if line[-2] in "WwVvu"]


def main():
    library, header, version, *objects = sys.argv[1:]
    wrong = []
    have, want = exported(library), declared(header)
    if len(want) < 20:
        wrong.append(f"only {len(want)} declarations found in {header}")
    wrong += [f"exported and not in scout.h: {name}" for name in sorted(have - want)]
    wrong += [f"in scout.h and not exported: {name}" for name in sorted(want - have)]

    dynamic = run("readelf", "-dW", library)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    wrong += [f"needs {name}" for name in needed if re.search(r"absl|protobuf|gtest", name)]
    soname = re.findall(r"\(SONAME\).*\[(.*)\]", dynamic)
    major, minor = version.split(".")
    expected = "libscout.so." + (f"0.{minor}" if major == "0" else major)
    if soname != [expected]:
        wrong.append(f"SONAME is {soname}, expected {expected}")
    if "TEXTREL" in dynamic:
        wrong.append("has text relocations")
    stack = [line for line in run("readelf", "-lW", library).splitlines() if "GNU_STACK" in line]
    if any("RWE" in line for line in stack):
        wrong.append("has an executable stack")
    for obj in objects:
        wrong += [f"{obj}: weak symbol {name}" for name in weak(obj)]

    for line in wrong:
        print(line)
    print(f"{len(have)} symbols exported; needs {' '.join(needed)}; {len(objects)} ISA objects")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
