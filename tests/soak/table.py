#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints docs/trust.md's table with what its tests have done in this run, and fails where one of them failed, or was not run.

usage: table.py ROOT FUZZED JUNIT...   FUZZED: what `./dev fuzz all` printed. JUNIT: results of ctest, of its --output-junit.
"""
import re
import sys
import textwrap
import xml.etree.ElementTree
from pathlib import Path

WIDTH = 110
# What a test prints that is a figure: not GoogleTest's own lines, nor a seed alone.
NO_FIGURE = re.compile(r"^(\[|Running main|Note: |ANNALS_SEED=\d+$|\s*$)")


def results(files):
    """Of each test of ctest: whether it passed each time, and the lines of figures that it printed."""
    found = {}
    for file in files:
        for case in xml.etree.ElementTree.parse(file).getroot().iter("testcase"):
            printed = case.findtext("system-out") or ""
            figures = [line.strip() for line in printed.splitlines() if re.search(r"\d", line) and not NO_FIGURE.match(line)]
            is_google_test = printed.startswith("Running main()")
            passed, before = found.get(case.get("name"), (True, []))
            # An executable of ours prints figures; a script prints what it pleases, for who looks into a failure.
            found[case.get("name")] = (passed and case.get("status") == "run", before + (figures if is_google_test else []))
    return found


def of_name(name, found):
    """The tests of ctest that a name stands for: itself, or those of a suite; with any parameters."""
    test = name.partition(": ")[0]
    parts = [re.escape(part) for part in test.split(".")]
    # PROGRAM.SUITE.CASE with parameters is PROGRAM.SEEDS/SUITE.CASE/7
    pattern = re.compile(parts[0] + "".join(r"\.(?:\w+/)?" + part for part in parts[1:]) + r"(?:/\w+)?(?:\..*)?$")
    return [each for each in found if pattern.match(each)]


def rows(page):
    heading, columns = "", []
    for line in page.read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:]
        if not line.startswith("|"):
            columns = []
            continue
        words = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if not columns:
            columns = words
        elif "test" in columns and not set(words[0]) <= set("-: "):
            subject = re.sub(r"\s*\(\[[^]]*\]\([^)]*\)\)", "", words[0])
            yield heading, re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", subject), re.findall(r"`([^`]+)`", words[columns.index("test")])


def main(root, fuzzed, files):
    found = results(files)
    fuzz_lines = [line for line in Path(fuzzed).read_text().splitlines() if re.search(r"\d executions", line)]
    broken = 0
    last = None
    for heading, subject, names in rows(root / "docs/trust.md"):
        if heading != last:
            print(f"\n{heading}\n{'-' * len(heading)}")
            last = heading
        tests = {name: of_name(name, found) for name in names}
        missing = [name for name, those in tests.items() if not those]
        run = sorted({test for those in tests.values() for test in those})
        failed = [test for test in run if not found[test][0]]
        figures = [figure for test in run for figure in found[test][1]]
        if any(name.startswith("fuzz.") for name in names):
            figures += fuzz_lines
            if not fuzz_lines or any("FOUND SOMETHING" in line for line in fuzz_lines):
                failed.append("./dev fuzz all")
        broken += bool(missing or failed)
        print(textwrap.fill(subject, WIDTH))
        print(f"    {'BROKEN' if missing or failed else 'kept'}: {len(run)} tests"
              + (f"; failed: {', '.join(failed)}" if failed else "") + (f"; not run: {', '.join(missing)}" if missing else ""))
        for figure in figures:
            print(f"    {figure}")
    print(f"\n{broken} promises broken" if broken else "\nnothing broken")
    return 1 if broken else 0


sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]))
