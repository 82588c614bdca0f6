#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that SECURITY.md and docs/trust.md name tests that exist, and promises that are made.

In their tables, a column headed "test" has names of ctest in backticks: `PROGRAM.SUITE.CASE`, `PROGRAM.SUITE` for all of a suite, or
`NAME` of any other test, with `NAME: test_CASE` for a test within a program in Python. They are looked up in the sources, not in a
build. A column headed "promise" quotes a page, and links to it: the words must stand there.

usage: check_promises.py ROOT
"""
import re
import sys
from pathlib import Path

PAGES = ["SECURITY.md", "docs/trust.md"]
FOREACH = re.compile(r"foreach\((\w+) IN ITEMS([^)]*)\)((?:(?!foreach\().)*?)endforeach\(\)", re.S)
CASE = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", re.M)
# What a line of CMake that begins with this word makes a test of.
PREFIXES = {"python_test": "", "annals_add_test": "", "abi_test": "abi.", "packaging_test": "packaging.", "consumer_test": "packaging.",
            "template_test": "packaging.", "mistake_test": "packaging.", "annals_example": "example.", "command_example": "example.",
            "check_test": "plugins.", "annals_fuzzer": "fuzz."}


def commands(text):
    """The commands of a CMake file as words, loops over items written out."""
    text = re.sub(r"(?m)(^|\s)#.*$", "", text)
    while loop := FOREACH.search(text):
        name, items, body = loop.groups()
        written_out = "".join(body.replace("${" + name + "}", item) for item in items.split())
        text = text[:loop.start()] + written_out + text[loop.end():]
    for command in re.finditer(r"(?m)^\s*(\w+)\(((?:[^()]|\([^()]*\))*)\)", text):
        yield command.group(1), command.group(2).split()


def known_tests(root):
    """Every test: its name, and the scripts it is."""
    found = {}
    for file in sorted([*root.glob("tests/**/CMakeLists.txt"), root / "examples/CMakeLists.txt"]):
        place = lambda word: Path(word.replace("${PROJECT_SOURCE_DIR}", str(root)).replace("${CMAKE_CURRENT_SOURCE_DIR}", str(file.parent)))
        for name, words in commands(file.read_text()):
            if name == "annals_test" and "SOURCES" in words:
                for source in map(place, words[words.index("SOURCES") + 1:]):
                    path = source if source.is_absolute() else file.parent / source
                    for suite, case in CASE.findall(path.read_text()) if path.exists() else []:
                        found[f"{words[0]}.{suite}.{case}"] = found[f"{words[0]}.{suite}"] = []
            elif name in PREFIXES:
                found[PREFIXES[name] + words[0]] = [file.parent / place(word) for word in words if word.endswith(".py")]
    return found


def plain(text):
    """Words alone: no emphasis, no code, the text of links, single blanks."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return " ".join(re.sub(r"[*`]|^[-|] ", "", text, flags=re.M).split())


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def check_page(path, root, tests, problems):
    """How many tests and promises it names."""
    where = path.relative_to(root)
    counts = {"test": 0, "promise": 0}
    columns = []
    for line in path.read_text().splitlines():
        if not line.startswith("|"):
            columns = []
            continue
        if not columns:
            columns = cells(line)
            continue
        for column, cell in zip(columns, cells(line)):
            if set(cell) <= set("-: "):
                continue
            if column == "test":
                names = re.findall(r"`([^`]+)`", cell)
                if not names:
                    problems.append(f"{where}: a row names no test: {line[:80]}")
                for name in names:
                    counts["test"] += 1
                    test, _, method = name.partition(": ")
                    if test not in tests:
                        problems.append(f"{where}: names the test {test}, which does not exist")
                    elif method and not any(f"def {method}(" in script.read_text() for script in tests[test]):
                        problems.append(f"{where}: names {method} of {test}, which does not exist")
            elif column == "promise":
                quotes = re.findall(r'"([^"]+)" \(\[[^]]*\]\(([^)#]+)[^)]*\)\)', cell)
                if not quotes:
                    problems.append(f"{where}: a promise is not of the form \"WORDS\" ([page](page)): {cell[:80]}")
                for words, page in quotes:
                    counts["promise"] += 1
                    if not (path.parent / page).exists() or plain(words) not in plain((path.parent / page).read_text()):
                        problems.append(f"{where}: quotes what does not stand in {page}: {words}")
    return counts


def main(root):
    tests = known_tests(root)
    problems = []
    if len(tests) < 300:
        problems.append(f"found {len(tests)} tests only; is {root} the project's folder?")
    for page in PAGES:
        counts = check_page(root / page, root, tests, problems)
        print(f"{page}: {counts['test']} tests and {counts['promise']} promises checked")
        if counts["test"] < 20:
            problems.append(f"{page}: names {counts['test']} tests only")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


sys.exit(main(Path(sys.argv[1]).resolve()))
