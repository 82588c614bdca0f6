#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which tests of build/debug the changed files reach, nearest first, as many as fit into the time of `./dev check`.

Nearest are tests whose own files changed. Then those whose sources import a module that changed, then those that reach one through other
modules. Times are those of earlier runs, as ctest keeps them. Says on standard error how many tests are left out.

usage: reached.py targets|tests FILE...     prints the targets to build, one a line; or the tests' numbers, for ctest -I
"""
import json
import re
import subprocess
import sys
from pathlib import Path

from sources import Sources

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/debug"
TEST_SECONDS = 50  # of one processor, for the tests that are not nearest
UNKNOWN_SECONDS = 0.2
LINK_SECONDS = 1.0


def programs():
    """Each program of the build that is compiled from sources of ours: its target's name and its sources."""
    found = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        place = re.match(r"(.*?)/?CMakeFiles/([^/]+)\.dir/", entry["output"])
        if place:
            found.setdefault(place.group(2), set()).add(Path(entry["file"]))
    return found


def costs():
    try:
        lines = (BUILD / "Testing/Temporary/CTestCostData.txt").read_text().splitlines()
    except FileNotFoundError:
        return {}
    rows = (line.split() for line in lines[: lines.index("---")] if line)
    return {row[0]: float(row[2]) for row in rows if len(row) == 3}


def tests():
    """Each test: its number, its name, the targets in its command, and the files of ours that it names."""
    shown = subprocess.run(["ctest", "--test-dir", BUILD, "--show-only=json-v1"], capture_output=True, text=True, check=True).stdout
    for number, test in enumerate(json.loads(shown)["tests"], start=1):
        words = [Path(word) for word in test.get("command", [])]
        built = {re.sub(r"_NOT_BUILT$", "", word.stem) for word in words if word.is_relative_to(BUILD)}
        named = {word for word in words if word.is_relative_to(ROOT) and not word.is_relative_to(BUILD)}
        yield number, test["name"], built, named


def distance(changed, sources, own):
    """0: the program's own files changed; 1: it imports a module that changed, or is in a folder with its name; 2: it reaches one; None."""
    modules = {sources.module_of(path) for path in changed if path in sources.text} - {None}
    beside = own | {header for path in own if path in sources.text for header in sources.includes(path)}
    if beside & changed:
        return 0
    imported = {module for path in beside if path in sources.text for module in sources.imports(path)}
    if imported & modules or {path.parent.name for path in own} & {part for module in modules for part in module.split(".")[1:]}:
        return 1
    interfaces = {sources.interfaces[module] for module in modules if module in sources.interfaces}
    return 2 if any(sources.reached(path) & interfaces for path in own if path in sources.text) else None


def select(changed):
    sources, seconds = Sources(ROOT), costs()
    of_program = {name: distance(changed, sources, own) for name, own in programs().items()}
    reach = [of_program[name] for name in ("annals_command", "annals") if of_program.get(name) is not None]
    of_program["annals"] = min(reach, default=None)  # the command's file
    has_module = any(path in sources.text and sources.module_of(path) for path in changed)
    found = []
    for number, name, built, named in tests():
        reached = [of_program[program] for program in built if of_program.get(program) is not None]
        if named & changed or any(path.is_relative_to(folder) for folder in named if folder.is_dir() and folder != ROOT for path in changed):
            reached.append(0)
        if name.startswith("structure."):
            reached.append(0)
        elif built and not reached and has_module:
            reached.append(2)
        if reached:
            found.append((min(reached), seconds.get(name, UNKNOWN_SECONDS), number, built))
    taken, left, linked = [], TEST_SECONDS, set()
    for far, cost, number, built in sorted(found, key=lambda test: test[:3]):
        cost += LINK_SECONDS * len(built - linked)
        if far == 0 or cost <= left:
            left -= cost if far else 0
            linked |= built
            taken.append((number, built))
    print(f"check: {len(taken)} of {len(found)} tests that the changes reach fit into the time; ./dev test runs all", file=sys.stderr)
    return taken


def main(wanted, files):
    taken = select({(ROOT / file).resolve() for file in files})
    if wanted == "tests":
        print(",".join(str(number) for number, _ in taken))
        return
    targets = set(re.findall(r"^(\S+): phony", subprocess.run(["ninja", "-C", BUILD, "-t", "targets", "all"], capture_output=True, text=True,
                                                            check=True).stdout, re.M))
    for program in sorted({program for _, built in taken for program in built}):
        name = "annals_command" if program == "annals" else program
        if name in targets:
            print(name)


main(sys.argv[1], sys.argv[2:])
