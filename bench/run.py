# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks: prints one table, writes all numbers as JSON.

A goal that is missed is printed; the exit code is 0. It is 1 when something failed or when the lines in a file are not the
events that were logged, 2 on wrong usage. What is absent is said, and is no failure.
"""
import sys

sys.dont_write_bytecode = True  # the source tree stays clean

import argparse
import dataclasses
import json
import os
import platform
import shutil
from pathlib import Path

import rows as rows_of_table
from row import Bench, Row
from rows_queues import table_of_loads
from table import print_absent, print_loads, print_table

MIB = 1024**2

FILE_SYSTEMS_IN_MEMORY = {"tmpfs", "ramfs"}


def file_system(path: Path) -> str:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(len(mount[1]), mount[2]) for mount in mounts if path.is_relative_to(mount[1])]
    return max(above)[1]


def cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def machine(bench: Bench) -> dict:
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "file_system": file_system(bench.files),
        "compiler": bench.toolchain["compiler_id"],
        "build_type": bench.toolchain["build_type"],
        "spdlog": bench.toolchain["spdlog"],
        "queue_mib": bench.queue_bytes // MIB,
        "python": platform.python_version(),
    }


def arguments() -> argparse.Namespace:
    known = rows_of_table.names()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="where the benchmark programs were built")
    parser.add_argument("--annals", type=Path, required=True, help="the prefix annals was installed into")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file; logs are written in a directory beside it")
    parser.add_argument("--queue", type=int, default=16, metavar="MIB", help="bytes of every queue that is loaded, in MiB (16)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows to measure: " + ", ".join(known) + " (all of them)")
    given = parser.parse_args()
    for name in given.names:
        if name not in known:
            parser.error(f"there is no row '{name}'; expected " + ", ".join(known))
    given.names = given.names or known
    return given


def progress(name: str) -> None:
    if sys.stderr.isatty():
        print(f"measuring {name}", file=sys.stderr)


def as_json(row: Row) -> dict:
    return {**dataclasses.asdict(row), "reached": row.reached}


def main() -> int:
    given = arguments()
    files = (given.output.parent / "bench-files").resolve()
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    peers = (given.output.parent / "bench-peers").resolve()
    bench = Bench(given.binaries.resolve(), given.annals.resolve(), files, peers, given.queue * MIB)
    try:
        about = machine(bench)
        if about["file_system"] in FILE_SYSTEMS_IN_MEMORY:
            print(f"bench: {files} is in memory ({about['file_system']}); expected a disk", file=sys.stderr)
            return 2
        measured = rows_of_table.measure(bench, given.names, progress)
    finally:
        shutil.rmtree(files, ignore_errors=True)
    loads = bench.shared["loads"]
    table = table_of_loads(bench)
    written = {"machine": about, "rows": list(map(as_json, measured)), "loads": table, "absent": loads.absent}
    given.output.write_text(json.dumps(written, indent=2) + "\n")
    print_table(measured)
    print_loads(table)
    print("median (min..max); counted: lines in the files, as many as events were logged; " + ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in about.items()))
    print_absent({**loads.absent, **{row.name: row.absent for row in measured if row.absent}})
    failed = {row.name: row.failure for row in measured if row.failure}
    failed.update({f"{name} ({load})": cause for (load, name), cause in loads.failures.items()})
    for name, cause in failed.items():
        print(f"bench: {name} failed: {cause}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
