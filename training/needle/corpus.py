#!/usr/bin/env python3
"""Collects the haystack text: documentation and licences of nine Debian packages, as plain paragraphs.

    python3 training/needle/corpus.py OUT_DIR

writes OUT_DIR/train.txt and OUT_DIR/test.txt (one paragraph per line, a document belongs to one of the
two) and OUT_DIR/corpus.json (package versions, sizes, hashes). It reads only files that dpkg lists for
the packages below, in sorted order, so the same package versions give the same bytes; EXPECTED_SHA256
is that of the versions named here. A machine whose packages were installed without manual pages
(`path-exclude` in /etc/dpkg/dpkg.cfg.d, as slim container images have) gives less text and other
hashes: reinstall the packages without that line.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import glob
import gzip
import hashlib
import json
import os
import re
import subprocess

# Debian 12 (bookworm), amd64; older builds of a package are kept at snapshot.debian.org.
PACKAGES = ["base-files", "coreutils", "git-man", "manpages", "manpages-dev", "openssl",
            "perl-modules-5.36", "systemd", "util-linux"]
EXPECTED_SHA256 = {
    "train.txt": "7b56ac78d8033218dff59f78f32953117fd77110c5c63763d019dbaa45f94c16",
    "test.txt": "04a83d1d7957e72a62bfe360852f67625856a533f7246ee10ad4aad49e0c1674",
}

MAX_FILE = 400_000       # bytes; larger ones are tables, not prose
MAX_PER_PACKAGE = 3_000_000  # characters, so that no package's style rules
TEST_SHARE = 0.25        # of documents, chosen by the hash of their path


def package_files(package):
    """Regular files of an installed package, as dpkg lists them."""
    lists = glob.glob(f"/var/lib/dpkg/info/{package}.list")
    lists += glob.glob(f"/var/lib/dpkg/info/{package}:*.list")
    if not lists:
        raise SystemExit(f"package {package} is not installed")
    with open(lists[0]) as f:
        paths = sorted(line.rstrip("\n") for line in f)
    return [p for p in paths if os.path.isfile(p) and not os.path.islink(p)]


def read(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as f:
        return f.read(MAX_FILE).decode("utf-8", "replace")


def pod_paragraphs(text):
    """Prose of Perl's documentation format: what stands between a command and =cut, unindented."""
    for block in re.findall(r"^=(?:head\d|pod|over|item|encoding)\b.*?(?:^=cut\b|\Z)", text, re.M | re.S):
        for paragraph in re.split(r"\n\s*\n", block):
            if paragraph[:1] in ("=", " ", "\t", ""):
                continue
            paragraph = paragraph.replace("E<lt>", "<").replace("E<gt>", ">")
            for _ in range(3):  # markup nests: C<B<x>>
                paragraph = re.sub(r"[BCFILSX]<+\s?([^<>]*?)\s?>+", r"\1", paragraph)
            yield paragraph


ROFF_FONTS = re.compile(r"^[.'](?:B|I|BR|IR|BI|IB|RB|RI|SM|SB)\s+")
ROFF_ESCAPES = [(r"\\f(?:\[\w*\]|\(..|.)", ""), (r"\\s[-+]?\d+", ""), (r"\\\*?\(..|\\\[\w+\]", " "),
                (r"\\[-e]", "-"), (r"\\[&%|^/,c]", ""), (r"\\[ ~0]", " "), (r'\\".*$', "")]


def roff_paragraphs(text):
    """Prose of a manual page: text lines and font macros joined, every other macro ends a paragraph."""
    paragraph, verbatim = [], False
    for line in text.split("\n"):
        if re.match(r"^[.'](nf|EX)\b", line):
            verbatim = True
        elif re.match(r"^[.'](fi|EE)\b", line):
            verbatim = False
        elif verbatim:
            continue
        elif ROFF_FONTS.match(line):
            paragraph.append(re.sub(r'" "|"', "", ROFF_FONTS.sub("", line)))
            continue
        elif line[:1] not in (".", "'", ""):
            paragraph.append(line)
            continue
        joined, paragraph = "\n".join(paragraph), []
        for pattern, by in ROFF_ESCAPES:
            joined = re.sub(pattern, by, joined, flags=re.M)
        yield joined


def plain_paragraphs(text):
    yield from re.split(r"\n\s*\n", text)


def paragraphs(path):
    if "/man/man" in path:
        return roff_paragraphs(read(path))
    if path.endswith((".pod", ".pm")):
        return pod_paragraphs(read(path))
    if "/common-licenses/" in path or path.endswith("/copyright"):
        return plain_paragraphs(read(path))
    return ()


def tidy(paragraph):
    """One line of ASCII prose, or None for what is not prose."""
    line = re.sub(r"[^\x21-\x7e]+", " ", paragraph).strip()
    line = re.sub(r"([-=_*#.~+])\1{3,}", r"\1\1\1", line)
    letters = sum(c.isalpha() or c == " " for c in line)
    # A first letter keeps token borders at line borders: "\n/usr" would be one piece of the split.
    good = 40 <= len(line) <= 2000 and line[0].isalpha() and letters >= 0.8 * len(line)
    return line if good and line.count(" ") >= 6 else None


def collect():
    """(train paragraphs, test paragraphs); a paragraph that several documents share is kept once."""
    seen, split = set(), ([], [])
    for package in PACKAGES:
        size = 0
        for path in package_files(package):
            if size > MAX_PER_PACKAGE:
                break
            if os.path.getsize(path) > MAX_FILE:
                continue
            test = int(hashlib.sha256(path.encode()).hexdigest()[:8], 16) < TEST_SHARE * 2 ** 32
            for paragraph in paragraphs(path):
                line = tidy(paragraph)
                if line and line not in seen:
                    seen.add(line)
                    split[test].append(line)
                    size += len(line)
    return split


def versions():
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES],
                           capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in shown.splitlines())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    out = parser.parse_args().out
    os.makedirs(out, exist_ok=True)
    record = {"packages": versions(), "sha256": {}, "characters": {}}
    for name, lines in zip(("train.txt", "test.txt"), collect()):
        text = "".join(line + "\n" for line in lines)
        with open(os.path.join(out, name), "w") as f:
            f.write(text)
        record["sha256"][name] = hashlib.sha256(text.encode()).hexdigest()
        record["characters"][name] = len(text)
        print(f"{name}: {len(lines):,} paragraphs, {len(text):,} characters")
    if record["sha256"] != EXPECTED_SHA256:
        print("note: not the corpus of the shipped models (other package versions); "
              "training works, figures will differ a little")
    with open(os.path.join(out, "corpus.json"), "w") as f:
        f.write(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
