#!/usr/bin/env python3
"""What the pages promise a reader: pages lead to each other, and commands work after ./quickstart.

SPDX-License-Identifier: Apache-2.0

usage: docs.py SOURCE_DIR      prints each breach as file: text, exit status 1 if any
       docs.py --self-test     plants one breach of each rule and checks that it is found

- README.md names every page of docs/ and the README.md of every folder that a user works with
- a page that is named exists
- ./quickstart builds the command alone: a page that uses another program of build/release/bin says
  which target makes it, and one that calls ctest builds something before
- tests are switched off only in a build folder of their own, since the cache keeps that
"""
import os
import re
import sys
import tempfile

FOLDERS = ("examples", "bindings", "models")


def pages(root):
    """Relative paths of the pages: at the top, in docs/, and the README.md of each folder."""
    found = [name for name in sorted(os.listdir(root)) if name.endswith(".md")]
    for folder in ("docs", "tests", *FOLDERS):
        path = os.path.join(root, folder)
        names = sorted(os.listdir(path)) if os.path.isdir(path) else []
        found += [f"{folder}/{name}" for name in names if name.endswith(".md")]
    return found


def breaches(root):
    wrong = []
    texts = {}
    for page in pages(root):
        with open(os.path.join(root, page), encoding="utf-8") as file:
            texts[page] = file.read()
    wanted = [page for page in texts if page.startswith("docs/")]
    wanted += [f"{folder}/README.md" for folder in FOLDERS if f"{folder}/README.md" in texts]
    wrong += [f"README.md: does not name {page}" for page in wanted
              if page not in texts.get("README.md", "")]
    for page, text in texts.items():
        for name in re.findall(r"(?<![\w/.])[\w/-]+\.md\b", text):
            here = os.path.join(os.path.dirname(page), name)
            if "/" in name and not os.path.isdir(os.path.join(root, name.split("/")[0])):
                continue  # of another project
            if not any(os.path.exists(os.path.join(root, path)) for path in (name, here)):
                wrong.append(f"{page}: names {name}, which is not there")
        targets = " ".join(re.findall(r"--target ([\w \t]+)", text)).split()
        for program in sorted(set(re.findall(r"build/release/bin/(\w+)", text)) - {"scout"}):
            if program not in targets:
                wrong.append(f"{page}: uses {program} and does not say --target {program}")
        if "ctest --preset" in text and "cmake --build --preset" not in text:
            wrong.append(f"{page}: calls ctest and builds nothing before")
        for line in text.split("\n"):
            if "SCOUT_TESTS=OFF" in line and "-B " not in line:
                wrong.append(f"{page}: SCOUT_TESTS=OFF without a build folder of its own (-B)")
    return wrong


def self_test():
    good = {"README.md": "`docs/a.md`, `bindings/README.md`",
            "docs/a.md": "cmake --build --preset release --target x_bench y\n"
                         "build/release/bin/x_bench, build/release/bin/scout, ctest --preset release",
            "bindings/README.md": "cmake --preset release -B build/i -DSCOUT_TESTS=OFF"}
    planted = {"README.md": ("`docs/a.md` and `docs/b.md`", ["does not name bindings/README.md",
                                                             "names docs/b.md"]),
               "docs/a.md": ("build/release/bin/x_bench; ctest --preset release",
                             ["--target x_bench", "builds nothing"]),
               "bindings/README.md": ("cmake --preset release -DSCOUT_TESTS=OFF", ["of its own"])}
    for page in [None, *planted]:
        with tempfile.TemporaryDirectory() as root:
            for name, text in good.items():
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                    file.write(planted[page][0] if name == page else text)
            found = "\n".join(breaches(root))
        expected = planted[page][1] if page else []
        missing = [part for part in expected if part not in found]
        if missing or found.count("\n") + bool(found) != len(expected):
            sys.exit(f"self-test: {page}: found '{found}', expected {expected}")


if sys.argv[1:] == ["--self-test"]:
    self_test()
elif len(sys.argv) == 2:
    breached = breaches(sys.argv[1])
    print("\n".join(breached), end="\n" if breached else "")
    sys.exit(1 if breached else 0)
else:
    sys.exit(__doc__)
