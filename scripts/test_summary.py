#!/usr/bin/env python3
"""Counts the single test cases that ran, from GoogleTest's XML and ctest's JUnit files.

SPDX-License-Identifier: Apache-2.0

usage: test_summary.py [--count-file FILE] BUILD_DIR...

Reads BUILD_DIR/test-results/*.xml (one per GoogleTest program) and ctest.junit (every ctest test;
those without an XML file of their own count as one case). Prints a table, the skipped cases with
their reasons and the failed ones. Exit status 1 where a case failed or nothing ran.
"""
import argparse
import os
import sys
import xml.etree.ElementTree as ElementTree


class Room:
    def __init__(self):
        self.ran, self.failed, self.skipped, self.seconds = 0, [], [], 0.0


def read_googletest(path):
    room = Room()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("classname") + "." + case.get("name")
        if case.get("status") != "run":  # filtered out
            continue
        room.seconds += float(case.get("time", 0))
        skipped = case.find("skipped")
        if skipped is not None or case.get("result") == "skipped":
            reason = (skipped.get("message") or "") if skipped is not None else ""
            # "file:line\nreason"
            room.skipped.append((name, reason.strip().split("\n")[-1]))
            continue
        room.ran += 1
        if case.find("failure") is not None:
            room.failed.append(name)
    return room


def read_build(build):
    """Rooms of one build folder by name; failed ctest tests count even where no XML was left."""
    folder = os.path.join(build, "test-results")
    rooms = {}
    for file in sorted(os.listdir(folder)):
        if file.endswith(".xml"):
            rooms[file[:-4]] = read_googletest(os.path.join(folder, file))
    for case in ElementTree.parse(os.path.join(folder, "ctest.junit")).getroot().iter("testcase"):
        name, status = case.get("name"), case.get("status")
        if name in rooms:
            room = rooms[name]
            if status == "fail" and not room.failed:
                room.failed.append(name + " (the program ended badly)")
            continue
        room = rooms.setdefault(name, Room())
        room.seconds = float(case.get("time", 0))
        if status == "run":
            room.ran = 1
        elif status == "fail":
            room.ran, room.failed = 1, [name]
        elif status == "disabled":
            room.skipped.append((name, "disabled"))
        else:  # a program that is not there
            room.failed.append(f"{name} (not run)")
    return rooms


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count-file")
    parser.add_argument("builds", nargs="+")
    args = parser.parse_args()

    total, failed, skipped = 0, [], []
    print(f"{'build':<12} {'tests':<28} {'ran':>6} {'failed':>7} {'skipped':>8} {'seconds':>9}")
    for build in args.builds:
        label = os.path.basename(build.rstrip("/"))
        for name, room in sorted(read_build(build).items()):
            if room.ran or room.failed or room.skipped:
                print(f"{label:<12} {name:<28} {room.ran:>6} {len(room.failed):>7} "
                      f"{len(room.skipped):>8} {room.seconds:>9.1f}")
            total += room.ran
            failed += [f"{label}: {case}" for case in room.failed]
            skipped += [f"{label}: {case}: {reason}" for case, reason in room.skipped]
    for title, lines in (("skipped", skipped), ("FAILED", failed)):
        for line in lines:
            print(f"{title}  {line}")
    print(f"{total} test cases ran, {len(failed)} failed, {len(skipped)} skipped")
    if args.count_file:
        with open(args.count_file, "w", encoding="utf-8") as out:
            out.write(f"{total}\n")
    return 1 if failed or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
