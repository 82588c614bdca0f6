#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the checks of .clang-tidy over every C++ source of the project, as a configured build compiles it.

A source is examined once, however many targets compile it. The modules that it imports are read in the compiler's own form, from the
build directory, so those have to be built before (./dev lint does). A source that no target compiles is a failure: nothing is
passed over in silence.

`quick` lets clangd run the checks, which looks at the source alone: a second or two. clang-tidy itself goes through all that the
imported modules have in them, every header of the standard library included, and takes ten times as long; that is `thorough`, which
also has what clangd leaves out: the static analyzer, moves that are used again, and our headers.

A source that passed is not examined again before it changes: its own bytes, those of the project's headers and interfaces that it reaches,
the checks, or its compile command. The build directory remembers that.

usage: run_clang_tidy.py ROOT BUILD JOBS quick|thorough [SOURCE...]
"""
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from sources import FOLDERS, Sources  # noqa: E402

# What no target of the build that is looked at compiles, and why.
ELSEWHERE = {
    "bench": "built as released only: it measures",
    "conan": "built by Conan, from an installed package",
    "tests/consumer": "built by the packaging tests, from an installed package",
    "tests/packaging/mistakes": "does not compile, on purpose",
    "plugins/template": "built by the packaging tests, from an installed package",
    "tests/logger/allocation_test.cpp": "replaces operator new, as the sanitizers of this build do",
    "tests/memory/memory_test.cpp": "replaces operator new, as the sanitizers of this build do",
    "tests/plugins/versions": "not built with sanitizers",
    "examples/plugins": "built by the packaging tests, from an installed package",
}


def elsewhere(path):
    return any(path == place or path.startswith(place + "/") for place in ELSEWHERE)


def compile_commands(build, root):
    """For each source the one command to look at: the library's own, where there are several."""
    chosen = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = Path(entry["file"]).resolve()
        if not path.is_relative_to(root) or path.is_relative_to(build) or path.suffix not in (".cpp", ".cppm"):
            continue
        name = path.relative_to(root).as_posix()
        is_own = "/annals.dir/" in entry["command"] + entry.get("output", "")
        if name not in chosen or is_own:
            # Without what tests have parsed beforehand: what they do not include themselves is to be missed here.
            command = re.sub(r"-Winvalid-pch|-Xclang (?:-include(?:-pch)?|\S*/cmake_pch\S*)", "", entry["command"])
            chosen[name] = dict(entry, command=command)
    return chosen


def quick(source, database):
    environment = dict(os.environ, XDG_CONFIG_HOME=str(database / "config"))
    done = subprocess.run(["clangd-19", f"--check={source}", "--check-locations=0", "--enable-config", "--pch-storage=memory", f"--compile-commands-dir={database}"],
                          capture_output=True, text=True, env=environment)
    errors = [found.group(1) for found in re.finditer(r"^E\[[^]]*\] (.*)", done.stderr, re.M)]
    # clangd reads a source's headers apart from the rest, and then takes std::atomic there and in a module for two. The compiler
    # does not, and the checks run all the same.
    findings = [error for error in errors if not error.startswith("[module_odr_violation_record] ")]
    if f"All checks completed, {len(errors)} errors" not in done.stderr or (done.returncode != 0 and not errors):
        findings += [f"clangd ended with {done.returncode}:\n{done.stderr}"]
    return findings


def thorough(source, database):
    done = subprocess.run(["clang-tidy-19", "--quiet", "-p", database, source], capture_output=True, text=True)
    return [f"clang-tidy ended with {done.returncode}\n{done.stdout}{done.stderr}"] if done.returncode != 0 else []


def key_of(texts):
    return hashlib.sha256(b"".join(hashlib.sha256(text.encode()).digest() for text in texts)).hexdigest()


def main(root, build, jobs, mode, only):
    chosen = compile_commands(build, root)
    sources = {path.relative_to(root).as_posix() for folder in FOLDERS for path in (root / folder).rglob("*.cpp*")
               if path.suffix in (".cpp", ".cppm")}
    problems = [f"{source}: no target of {build} compiles it, so it was not examined" for source in sorted(sources - set(chosen))
                if not elsewhere(source)]
    # One entry for each source, or clang-tidy would look at it once for every target.
    database = build / "clang-tidy"
    database.mkdir(exist_ok=True)
    (database / "config/clangd").mkdir(parents=True, exist_ok=True)
    (database / "config/clangd/config.yaml").write_text("Diagnostics: {ClangTidy: {FastCheckFilter: None}}\n")  # all, not the fast ones
    (database / "compile_commands.json").write_text(json.dumps([chosen[source] for source in sorted(chosen)]))
    remembered = database / f"passed-{mode}.json"
    passed = json.loads(remembered.read_text()) if remembered.exists() else {}
    rules = (root / ".clang-tidy").read_text() + Path(__file__).read_text()
    files = Sources(root)
    keys = {source: key_of([rules, chosen[source]["command"]] + [files.text[path] for path in sorted(files.reached(root / source))])
            for source in chosen if root / source in files.text}
    wanted = [source for source in sorted(chosen) if (source in only if only else passed.get(source) != keys.get(source))]

    def examine(source):
        begin = time.monotonic()
        findings = (quick if mode == "quick" else thorough)(root / source, database)
        return source, findings, time.monotonic() - begin

    slowest = []
    # The longest first: none is left to run alone at the end.
    wanted.sort(key=lambda source: -(root / source).stat().st_size)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for source, findings, seconds in pool.map(examine, wanted):
            slowest.append((seconds, source))
            problems += [f"{source}: {finding}" for finding in findings]
            if not findings:
                passed[source] = keys.get(source)
    remembered.write_text(json.dumps({source: key for source, key in passed.items() if source in chosen}))
    for problem in problems:
        print(problem)
    slowest.sort(reverse=True)
    print(f"{len(wanted)} of {len(chosen)} sources examined, {len(problems)} findings; the slowest: "
          + ", ".join(f"{source} {seconds:.1f} s" for seconds, source in slowest[:3]))
    return 1 if problems else 0


sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), int(sys.argv[3]), sys.argv[4], sys.argv[5:]))
