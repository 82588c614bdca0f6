# SPDX-License-Identifier: Apache-2.0
"""The rows about one event at a time, written or read back, and about what the library costs a compilation."""
import json
import subprocess
import sys
from pathlib import Path

import compile_cost
import logs
from measure import Failed, Program, interleave, spread
from row import Bench, Goal, Row

HERE = Path(__file__).parent
ORIGIN_PROGRAM = [sys.executable, HERE / "origin.py"]


# --- one event appended ------------------------------------------------------------------------------------------------


def append_pair(bench: Bench, row: Row, subject: str, peer: Program, calls: int, rounds: int, ours: Program) -> None:
    """`annals` in the process `ours` against `subject` in the process `peer`; then counts what is in the two files."""
    files = [bench.files / f"{row.name}-ours.jsonl", bench.files / f"{row.name}-peer.jsonl"]
    pairs = interleave(
        lambda n: ours.nanoseconds("annals", n, files[0]),
        lambda n: peer.nanoseconds(subject, n, files[1]),
        calls=calls,
        rounds=rounds,
    )
    row.fill(pairs)
    for file in files:
        logs.check(file, pairs.calls)
        file.unlink()
    row.events_counted = 2 * pairs.calls


def in_one_process(subject: str):
    def measure(bench: Bench, row: Row) -> None:
        with Program(bench.binaries / "append") as program:
            append_pair(bench, row, subject, program, calls=4000, rounds=100, ours=program)

    return measure


def against_origin(bench: Bench, row: Row) -> None:
    with Program(bench.binaries / "append") as ours, Program(*ORIGIN_PROGRAM) as origin:
        append_pair(bench, row, "origin", origin, calls=1000, rounds=40, ours=ours)


def plugin_against_built_in(bench: Bench, row: Row) -> None:
    with Program(bench.binaries / "sinks") as program:
        pairs = interleave(
            lambda n: program.nanoseconds("plugin", n, bench.files),
            lambda n: program.nanoseconds("built-in", n, bench.files),
            calls=100000,
            rounds=100,
        )
    row.fill(pairs)
    row.events_counted = 2 * pairs.calls  # the program ends where a byte is missing


def disabled_against_origin(bench: Bench, row: Row) -> None:
    file = bench.files / "disabled.jsonl"
    with Program(bench.binaries / "append") as ours, Program(*ORIGIN_PROGRAM) as origin:
        row.fill(
            interleave(
                lambda n: ours.nanoseconds("annals-disabled", n, file),
                lambda n: origin.nanoseconds("origin-disabled", n, file),
                calls=50000,
                rounds=40,
            )
        )
    if file.exists():
        raise Failed("a disabled logger created its file")
    row.events_counted = 0


# --- the last 50 events --------------------------------------------------------------------------------------------------


def tail_of(make_log, size: int):
    """The log that `make_log` makes against a plain one of 10 MB."""

    def measure(bench: Bench, row: Row) -> None:
        small = logs.written_log(bench.files / "small.jsonl", 10 * logs.MIB)
        large = make_log(bench.files / "large.jsonl", size)
        try:
            logs.sync(large)
            with Program(bench.binaries / "tail") as program:
                row.fill(
                    interleave(
                        lambda n: program.nanoseconds("annals", n, large),
                        lambda n: program.nanoseconds("annals", n, small),
                        calls=50,
                        rounds=60,
                    )
                )
        finally:
            large.unlink(missing_ok=True)
            small.unlink(missing_ok=True)

    return measure


def tail_against_origin(bench: Bench, row: Row) -> None:
    log = logs.written_log(bench.files / "small.jsonl", 10 * logs.MIB)
    with Program(bench.binaries / "tail") as ours, Program(*ORIGIN_PROGRAM) as origin:
        row.fill(
            interleave(
                lambda n: ours.nanoseconds("annals", 10 * n, log),  # ours alone would be too short to time
                lambda n: origin.nanoseconds("origin-tail", n, log),
                calls=5,
                rounds=15,
            )
        )
    log.unlink()


def compilation_of(source: str):
    def measure(bench: Bench, row: Row) -> None:
        row.fill(compile_cost.measure(source, bench.annals, bench.files / "compile_cost", bench.toolchain, rounds=15))

    return measure


# --- Google Benchmark ------------------------------------------------------------------------------------------------------

REPETITIONS = 9


def google_benchmark(bench: Bench, rows: list[Row]) -> None:
    """Runs the benchmarks of these rows in one process, their repetitions in random order."""
    wanted = "|".join(row.name.replace("threads-", "threads/.*threads:") for row in rows)
    command = [bench.binaries / "micro", bench.files, f"--benchmark_filter=^({wanted})$", "--benchmark_format=json"]
    command += [f"--benchmark_repetitions={REPETITIONS}", "--benchmark_min_time=0.05"]
    command += ["--benchmark_enable_random_interleaving=true"]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failed(f"micro ended with exit code {done.returncode}: {done.stderr}")
    runs = [run for run in json.loads(done.stdout)["benchmarks"] if run["run_type"] == "iteration"]
    for row in rows:
        fill_from_google_benchmark(row, [run for run in runs if row_name(run["name"]) == row.name])


def row_name(benchmark_name: str) -> str:
    words = benchmark_name.split("/")
    return f"threads-{words[-1].split(':')[1]}" if words[0] == "threads" else words[0]


def fill_from_google_benchmark(row: Row, runs: list[dict]) -> None:
    errors = [run["error_message"] for run in runs if run.get("error_occurred")]
    if errors or not runs:
        row.failure = errors[0] if errors else "it was not run"
        return
    row.ours = spread(run.get("event_ns", run["real_time"]) for run in runs)
    if "events" in runs[0]:
        row.events_counted = int(sum(run["lines"] for run in runs))
        if row.events_counted != sum(run["events"] for run in runs):
            row.failure = f"{row.events_counted} lines are in the files, not one for each event"


# --- the table -------------------------------------------------------------------------------------------------------------

WRITE_2 = (
    "equal: one write(2) with O_APPEND on an open file, in the kernel on return. "
    "The peer's line is ready: no clock, no encoding, no lock, no count"
)
SPDLOG = (
    "equal: in the kernel on return, safe for threads, same bytes. "
    "The peer escapes nothing, reports no result, does not notice a moved file"
)
ORIGIN = "equal: in the kernel on return, same bytes. The peer opens and closes the file for each event"
COUNTED = "equal: the sink counts the bytes, and each round is compared; no file is written"
WARM = "equal: from the page cache"
EMPTY = "same flags, same build; BMIs are there already"

PAIRED = [
    (
        Row("direct", "log_event, 133-byte line", WRITE_2, "write(2), the same line", Goal("ratio", 1.15)),
        in_one_process("write"),
    ),
    (Row("spdlog", "log_event, 133-byte line", SPDLOG, "spdlog basic_file_sink_mt, flush each"), in_one_process("spdlog")),
    (Row("origin", "log_event, 133-byte line", ORIGIN, "the origin's log_event (Python)"), against_origin),
    (
        Row("disabled-origin", "log_event while disabled", "equal: nothing happens", "the origin's (Python)"),
        disabled_against_origin,
    ),
    (
        Row("plugin", "log_event to a no-op sink that was loaded", COUNTED, "a built-in no-op sink", Goal("difference", 10)),
        plugin_against_built_in,
    ),
    (
        Row("compile-import", "compile `import annals;`, empty main", EMPTY, "empty main alone", Goal("difference", 0.5e9)),
        compilation_of("importing"),
    ),
    (Row("compile-use", "compile a program that logs and tails", EMPTY, "empty main alone"), compilation_of("using")),
    (Row("tail-origin", "tail_log(50), 10 MB log", WARM, "the origin's tail_log (Python)"), tail_against_origin),
    (
        Row("tail-1gb", "tail_log(50), 1 GB log", WARM, "10 MB log", Goal("ours", 1e6)),
        tail_of(logs.written_log, 1024 * logs.MIB),
    ),
    (
        Row("tail-10gb", "tail_log(50), 10 GB log, sparse", WARM, "10 MB log", Goal("ratio", 1.2)),
        tail_of(logs.sparse_log, 10240 * logs.MIB),
    ),
]

NO_FILE = "in memory"
THREADS = "one write(2) with O_APPEND each, in the kernel on return; wall time by the events of all threads"

GOOGLE = [
    Row("disabled", "log_event while disabled", "nothing is created", goal=Goal("ours", 3)),
    Row("encode", "encode_line, 133-byte line", NO_FILE, goal=Goal("ours", 60)),
    Row("encode-timestamp", "format_timestamp", NO_FILE),
    Row("encode-escapes", "encode_line, 12 of 31 bytes escaped", NO_FILE),
    Row("encode-non-ascii", "encode_line, 19 characters beyond ASCII", NO_FILE),
    Row("encode-4k", "encode_line, detail of 4 KiB", NO_FILE),
    Row("encode-fields", "encode_line, 5 extra fields", NO_FILE),
    Row("decode", "decode_line, 133-byte line", NO_FILE),
    Row("threads-2", "log_event, 2 threads: wall time by events", THREADS),
    Row("threads-8", "log_event, 8 threads: wall time by events", THREADS),
]


def measure_google(bench: Bench, rows: list[Row]) -> None:
    """All of GOOGLE that are wanted, in one process."""
    try:
        google_benchmark(bench, rows)
    except Failed as failed:
        for row in rows:
            row.failure = str(failed)
