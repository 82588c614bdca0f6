#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what ctest's JUnit files say: the twenty slowest tests, what was not tested and why, what failed, and one closing line.

Ends with 1 when a test failed, when a file has no tests, or, with ANNALS_REQUIRE_ALL=1 in the environment, when one was not run.

usage: summary.py FILE...
"""
import os
import re
import sys
import xml.etree.ElementTree
from pathlib import Path

SLOWEST = 20


def cases(path):
    """Each test of one file: the build, its name, its seconds, `run`, `fail` or what else ctest says, and its output."""
    build = Path(path).stem.removeprefix("tests-")
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        output = "".join(case.find("system-out").itertext()) if case.find("system-out") is not None else ""
        yield build, case.get("name"), float(case.get("time") or 0), case.get("status"), output


def reason(output):
    found = re.search(r"NOT TESTED.*|SKIPPED:.*|Skipped.*", output)
    return found.group(0) if found else "no reason given"


def main(paths):
    found = [case for path in paths for case in cases(path)]
    passed = [case for case in found if case[3] == "run"]
    failed = [case for case in found if case[3] == "fail"]
    others = [case for case in found if case[3] not in ("run", "fail")]
    print(f"The {SLOWEST} slowest tests:")
    for build, name, seconds, _, _ in sorted(found, key=lambda case: -case[2])[:SLOWEST]:
        print(f"  {seconds:7.1f} s  {build:8} {name}")
    for build in dict.fromkeys(case[0] for case in found):
        of_build = [case for case in found if case[0] == build]
        print(f"{build}: {len(of_build)} tests, {sum(case[2] for case in of_build):.0f} s one after the other")
    for build, name, _, status, output in others:
        print(f"NOT TESTED: {build} {name} ({status}): {reason(output)}")
    for build, name, _, _, _ in failed:
        print(f"FAILED: {build} {name}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(others)} skipped")
    if not found or any(not list(cases(path)) for path in paths):
        print("summary.py: a build ran no test", file=sys.stderr)
        return 1
    return 1 if failed or (others and os.environ.get("ANNALS_REQUIRE_ALL") == "1") else 0


sys.exit(main(sys.argv[1:]))
