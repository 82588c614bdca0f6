#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the documentation shows only what is built and run.

Every fenced code block of README.md, SECURITY.md and docs/*.md in C++, CMake, shell or JSON must stand, word for word, in a file under
examples/ (indentation of the whole block aside), and that file must be named where ctest builds and runs it. A block marked
`text` shows output or a picture and is not checked. Links to files of the project must lead somewhere, and the tests that the
page on parity names must exist.
"""
import re
import sys
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\]\((?!\w+:|#)([^)#]+)(?:#[^)]*)?\)")
CHECKED = {"cpp", "cmake", "sh", "json", "c", "python"}


def squeezed(text):
    lines = [line.strip() for line in text.strip().splitlines()]
    return "\n".join(line for line in lines if line)


def main(root):
    examples = {p: squeezed(p.read_text()) for p in sorted((root / "examples").rglob("*")) if p.is_file()}
    problems, blocks = [], 0
    for page in [root / "README.md", root / "SECURITY.md", *sorted((root / "docs").glob("*.md"))]:
        where = page.relative_to(root)
        text = page.read_text()
        for language, body in FENCE.findall(text):
            if language == "text":
                continue
            blocks += 1
            first = body.strip().splitlines()[0] if body.strip() else ""
            if language not in CHECKED:
                problems.append(f"{where}: a block of language '{language}' ({first}); expected one of {', '.join(sorted(CHECKED))}, or text")
            elif not any(squeezed(body) in content for content in examples.values()):
                problems.append(f"{where}: this block stands in no file under examples/: {first}")
        for target in LINK.findall(text):
            if not (page.parent / target).exists():
                problems.append(f"{where}: a link to {target}, which does not exist")
    runs = (root / "examples/CMakeLists.txt").read_text() + (root / "tests/packaging/CMakeLists.txt").read_text()
    for example in examples:
        built = {"examples/run_in_empty_directory.sh", "examples/CMakeLists.txt", "examples/consumer/CMakeLists.txt"}
        name = example.relative_to(root).as_posix()
        stem = name.removeprefix("examples/").removesuffix(".cpp")
        if name not in built and not re.search(rf"\b{re.escape(stem)}\b", runs):
            problems.append(f"{name}: is named in neither examples/CMakeLists.txt nor tests/packaging/CMakeLists.txt")

    tests = "\n".join(p.read_text() for p in (root / "tests").rglob("*_test.cpp"))
    rows = re.findall(r"^\|.*\|([^|]*)\|$", (root / "docs/origin-parity.md").read_text(), re.M)
    for suite, case in re.findall(r"`(\w+)\.(\w+)`", " ".join(rows)):
        if suite.endswith("_test") or suite == "differential":
            known = list((root / "tests").rglob(f"{suite}.{case}")) or f"{suite}.{case}" in (root / "tests/differential/CMakeLists.txt").read_text()
        else:
            known = re.search(rf"TEST(_F)?\({suite}, {case}\)", tests)
        if not known:
            problems.append(f"docs/origin-parity.md: names the test {suite}.{case}, which does not exist")
    if blocks < 5:
        problems.append(f"found {blocks} code blocks only; is {root} the project's folder?")
    for problem in problems:
        print(problem)
    print(f"{blocks} code blocks checked")
    return 1 if problems else 0


sys.exit(main(Path(sys.argv[1])))
