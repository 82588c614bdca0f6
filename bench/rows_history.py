# SPDX-License-Identifier: Apache-2.0
"""The rows about rotation, compressed segments, and reading them."""
import json
import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import history
from measure import Failed, Pairs, Program, interleave, run
from row import Absent, Bench, Goal, Row

MIB = 1024**2
GIB = 1024**3
ONE_CORE = max(os.sched_getaffinity(0))


def need_tool(name: str) -> str:
    found = shutil.which(name)
    if not found:
        raise Absent(f"{name} is not installed")
    return found


# --- rotation ------------------------------------------------------------------------------------------------------------


def rotating(processes: int, calls: int, rounds: int):
    """So many processes writing one log with the sink `rotate`, against as many with the plain sink."""

    def measure(bench: Bench, row: Row) -> None:
        plugin = bench.annals / "lib" / "annals" / "plugins" / "annals_rotate.so"
        if not plugin.exists():
            raise Absent("this build has no sink `rotate`")
        directory = bench.files / row.name
        directory.mkdir()
        files = {name: directory / f"{name}.jsonl" for name in ("rotate", "plain")}
        programs = [Program(bench.binaries / "rotating", plugin) for _ in range(processes)]

        def all_of(subject: str):
            def round_of(count: int) -> float:
                for program in programs:
                    program.request(f"{subject} {count} {files[subject]}")
                return max(int(program.answer()) for program in programs) / (count * processes)

            return round_of

        pairs = interleave(all_of("rotate"), all_of("plain"), calls=calls, rounds=rounds)
        for program in programs:
            program.__exit__()
        row.fill(pairs)
        events = pairs.calls * processes
        for name, live in files.items():
            segments = sorted(directory.glob(f"{name}-*.jsonl"))
            if name == "rotate" and not segments:
                raise Failed("no segment was closed: that is no rotation")
            run([bench.binaries / "check", "exact", "fixed", events, *segments, live])
        row.events_counted = 2 * events
        shutil.rmtree(directory)

    return measure


# --- compressing ------------------------------------------------------------------------------------------------------------


def one_segment(bench: Bench) -> Path:
    """256 MiB of lines."""
    log = bench.once("segment", lambda: history.generated(bench, "segment", 256 * MIB, GIB))
    return log.segments(".jsonl")[0]


def until_written(command: list, file: Path) -> float:
    """Runs a command; returns the nanoseconds until `file` had got its last byte. It is looked at every half a millisecond."""
    start = written = time.perf_counter_ns()
    size = 0
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while process.poll() is None:
            time.sleep(0.0005)
            now = file.stat().st_size if file.exists() else size
            if now != size:
                size, written = now, time.perf_counter_ns()
        if process.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))} ended with exit code {process.returncode}: {process.stdout.read()}")
    return written - start


def archive_once(bench: Bench, level: int, segment: Path) -> tuple[float, Path]:
    """Compresses a copy; returns the nanoseconds until the archive was written, and the archive. What follows, the sync and the
    verifying pass, is not in the time: the peer does neither."""
    directory = bench.files / "archived"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    copy = directory / segment.name
    os.link(segment, copy)
    live = directory / "audit.jsonl"
    live.touch()
    history.let_names_settle()
    archive = directory / (segment.name + ".zst")
    took = until_written([bench.command, "archive", "--level", level, live], archive.with_name(archive.name + ".tmp"))
    return took, archive


def zstd_once(bench: Bench, level: int, segment: Path) -> tuple[float, Path]:
    to = bench.files / "whole.zst"
    start = time.perf_counter_ns()
    run(["zstd", "-q", "-f", "-T1", f"-{level}", segment, "-o", to])
    return time.perf_counter_ns() - start, to


def archive_size(level: int):
    def measure(bench: Bench, row: Row) -> None:
        need_tool("zstd")
        bench.need_command("archive")
        segment = one_segment(bench)
        ours, theirs = archive_once(bench, level, segment)[1], zstd_once(bench, level, segment)[1]
        row.fill(Pairs([ours.stat().st_size], [theirs.stat().st_size], 1))
        if run(["sh", "-c", f"zstd -dc {ours} | cmp - {segment} && echo same"]) != "same\n":
            raise Failed("the archive does not hold the segment's bytes")
        row.events_counted = bench.shared["segment"].lines

    return measure


def archive_speed(level: int):
    def measure(bench: Bench, row: Row) -> None:
        need_tool("zstd")
        bench.need_command("archive")
        segment = one_segment(bench)
        row.fill(
            interleave(
                lambda _: archive_once(bench, level, segment)[0],
                lambda _: zstd_once(bench, level, segment)[0],
                calls=1,
                rounds=5,
            )
        )

    return measure


# --- reading ------------------------------------------------------------------------------------------------------------


def shell(script: str, one_core: bool = False):
    """A command or a pipeline; gives the nanoseconds it took, and what it printed through `printed`."""
    is_pipeline = "|" in script or ">" in script
    command = ["bash", "-c", "set -o pipefail; " + script] if is_pipeline else shlex.split(script)
    if one_core:
        command = ["taskset", "-c", str(ONE_CORE), *command]

    def timed(_calls: int) -> float:
        start = time.perf_counter_ns()
        timed.printed = run(command)
        return time.perf_counter_ns() - start

    timed.printed = ""
    return timed


def against_pipeline(ours: str, peer: str, *, rounds: int, one_core: bool = False, counted: bool = False):
    """Two pipelines over the log of a year. {annals} is our command, {live} the log, {archives} its compressed segments. Where both
    print a count, it has to be the same."""

    def measure(bench: Bench, row: Row) -> None:
        for tool in ("zstd", "rg", "taskset"):
            need_tool(tool)
        for name in ("cat", "query"):
            bench.need_command(name)
        log = history.year(bench)
        archives = " ".join(map(str, log.segments(".jsonl.zst")))
        if log.segments(".jsonl"):
            raise Failed("`annals archive` left segments plain")
        words = {"annals": bench.command, "live": log.live, "archives": archives}
        first, second = (shell(script.format(**words), one_core) for script in (ours, peer))
        row.fill(interleave(first, second, calls=1, rounds=rounds))
        if counted:
            if int(first.printed) != int(second.printed) or int(first.printed) == 0:
                raise Failed(f"ours counts {first.printed.strip()}, the peer {second.printed.strip()}")
            row.events_counted = int(first.printed)

    return measure


def tail_of_copies(bench: Bench, row: Row) -> None:
    """tail_log(50) on 10 GB of compressed history against 1 GB; the same archive many times, the live segment is empty."""
    bench.need_command("cat")
    segment = bench.once("long", lambda: history.archived(bench, "long", 256 * MIB, GIB)).segments(".jsonl.zst")[0]
    logs_of = {size: history.copies_of(segment, bench.files / f"{row.name}-{size}", size * 10**9) for size in (1, 10)}
    history.let_names_settle()  # in a directory that was changed just now, readers look twice
    with Program(bench.binaries / "tail") as program:
        row.fill(
            interleave(
                lambda n: program.nanoseconds("annals", n, logs_of[1] if row.name == "tail-archived-1gb" else logs_of[10]),
                lambda n: program.nanoseconds("annals", n, logs_of[10] if row.name == "tail-archived-1gb" else logs_of[1]),
                calls=20,
                rounds=40,
            )
        )
    for live in logs_of.values():
        shutil.rmtree(live.parent)


HOUR = "2025-06-15T13"
QUERY_HOUR = f"{{annals}} query {{live}} --since {HOUR}:00:00Z --until 2025-06-15T14:00:00Z --output count"
RG_HOUR = f"zstd -dc {{archives}} | rg -c '^.\"ts\":\"{HOUR}:'"
QUERY_TEXT = "{annals} query {live} --contains 'request dead' --output count"
RG_TEXT = "zstd -dc {archives} | rg -c 'request dead'"

IN_KERNEL = "equal: in the kernel on return, same bytes. Ours also closes segments of 64 MiB, syncing the directory each time"
SAME_BYTES = "equal: the same lines, which are compared. Ours is cut into frames that can be read alone, has a table of them, and checksums"
SAME_COUNT = "equal: the same events are found, and counted. The peer decompresses all there is"

ROWS = [
    (
        Row("rotate-1", "log_event, sink `rotate`, one process", IN_KERNEL, "plain file sink", Goal("ratio", 1.05)),
        rotating(1, calls=25000, rounds=60),
    ),
    (
        Row("rotate-4", "log_event, sink `rotate`, 4 processes", IN_KERNEL, "plain file sink, 4 processes", Goal("ratio", 2.2)),
        rotating(4, calls=8000, rounds=40),
    ),
    (
        Row("archive-size-3", "annals archive, level 3: bytes", SAME_BYTES, "zstd -3, the whole file", Goal("ratio", 1.02), unit="bytes"),
        archive_size(3),
    ),
    (
        Row("archive-size-9", "annals archive, level 9: bytes", SAME_BYTES, "zstd -9, the whole file", Goal("ratio", 1.02), unit="bytes"),
        archive_size(9),
    ),
    (
        Row("archive-speed-3", "annals archive, level 3, 256 MiB", SAME_BYTES, "zstd -T1 -3", Goal("speedup", at_least=0.9)),
        archive_speed(3),
    ),
    (
        Row("archive-speed-9", "annals archive, level 9, 256 MiB", SAME_BYTES, "zstd -T1 -9", Goal("speedup", at_least=0.9)),
        archive_speed(9),
    ),
    (
        Row("cat-null", "annals cat, 2 GiB, to /dev/null", "equal: the same bytes", "zstd -dc", Goal("speedup", at_least=0.8)),
        against_pipeline("{annals} cat {live} > /dev/null", "zstd -dc {archives} > /dev/null", rounds=5),
    ),
    (
        Row("cat-pipe", "annals cat, 2 GiB, to a pipe", "equal: the same bytes", "zstd -dc", Goal("speedup", at_least=0.8)),
        against_pipeline("{annals} cat {live} | wc -c", "zstd -dc {archives} | wc -c", rounds=5, counted=True),
    ),
    (
        Row("tail-archived-1gb", "tail_log(50), 1 GB compressed, live empty", "from the page cache", "10 GB", Goal("ours", 2e6)),
        tail_of_copies,
    ),
    (
        Row("tail-archived-10gb", "tail_log(50), 10 GB compressed", "from the page cache", "1 GB", Goal("ratio", 1.2)),
        tail_of_copies,
    ),
    (
        Row("query-hour", "annals query, an hour of a year, 2 GiB", SAME_COUNT, "zstd -dc | rg", Goal("speedup", at_least=200)),
        against_pipeline(QUERY_HOUR, RG_HOUR, rounds=7, counted=True),
    ),
    (
        Row("query-scan", "annals query --contains, 2 GiB, one core", SAME_COUNT, "zstd -dc | rg -c", Goal("speedup", at_least=0.7)),
        against_pipeline(QUERY_TEXT, RG_TEXT, rounds=5, one_core=True, counted=True),
    ),
]
