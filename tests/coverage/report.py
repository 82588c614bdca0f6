#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints how much of each module the tests run, and which branches they never take.

Of the modules that believe bytes from outside (STRICT), nine branches of ten have to be taken, or this fails.

usage: report.py ROOT PROFILE LIST     LIST: write every branch that was not taken into this file, as PATH:LINE:COLUMN
       of stdin: the binaries, one a line
"""
import collections
import json
import subprocess
import sys
from pathlib import Path

STRICT = {"json", "ring", "seekable", "segment", "reader"}
BRANCHES_MIN_PERCENT = 90


def exported(profile, binaries, sources):
    command = ["llvm-cov-19", "export", "-instr-profile", profile, binaries[0]]
    command += [word for binary in binaries[1:] for word in ("-object", binary)]
    done = subprocess.run([*command, "-sources", *map(str, sources)], capture_output=True, check=True)
    return json.loads(done.stdout)["data"][0]["files"]


def main(root, profile, list_file):
    binaries = [line.strip() for line in sys.stdin if line.strip()]
    modules = collections.defaultdict(lambda: collections.Counter())
    missed = []
    for file in exported(profile, binaries, [root / "modules", root / "sinks"]):
        path = Path(file["filename"]).resolve().relative_to(root)
        module = path.parts[1]
        for what in ("lines", "branches"):
            modules[module][what] += file["summary"][what]["count"]
            modules[module][what + " covered"] += file["summary"][what]["covered"]
        taken = collections.defaultdict(lambda: [0, 0])
        for line, column, _, _, true_count, false_count, *_ in file["branches"]:
            taken[line, column][0] += true_count
            taken[line, column][1] += false_count
        for (line, column), counts in sorted(taken.items()):
            never = [name for name, count in zip(("true", "false"), counts) if count == 0]
            if never:
                text = (root / path).read_text().splitlines()[line - 1].strip()
                missed.append((module, f"{path}:{line}:{column}: never {' nor '.join(never)}: {text}"))

    print(f"{'module':<14}{'lines':>8}{'covered':>9}{'':>8}{'branches':>10}{'covered':>9}")
    failed = False
    for module, count in sorted(modules.items()):
        percent = {what: 100 * count[what + " covered"] / count[what] if count[what] else 100.0 for what in ("lines", "branches")}
        bad = module in STRICT and percent["branches"] < BRANCHES_MIN_PERCENT
        failed = failed or bad
        print(f"{module:<14}{count['lines']:>8}{count['lines covered']:>9}{percent['lines']:>7.1f}%{count['branches']:>10}"
              f"{count['branches covered']:>9}{percent['branches']:>7.1f}%{'  expected ' + str(BRANCHES_MIN_PERCENT) + '%' if bad else ''}")
    Path(list_file).write_text("".join(text + "\n" for _, text in missed))
    print(f"\nbranches that were never taken: {len(missed)} in {list_file}, of them in "
          + ", ".join(f"{module} {sum(1 for m, _ in missed if m == module)}" for module in sorted(STRICT)))
    if missing := STRICT - set(modules):
        print(f"no figures for {', '.join(sorted(missing))}; expected some")
        failed = True
    return 1 if failed else 0


sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3]))
