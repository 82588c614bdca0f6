# SPDX-License-Identifier: Apache-2.0
"""The rows about what stands between a caller and the file: the ring, group commit, and the peers' queues."""
from loads import Load, Loads, check_lines
from measure import Pairs, Program, interleave, run, spread, timed
from row import Bench, Goal, Row
from rows_direct import ORIGIN_PROGRAM
from subjects import NAMED

MIB = 1024**2
FLOOD = Load("flood", "fixed", 1)
OPEN = Load("open", "fixed", 1)


def compared(load: Load, peer: str, figure):
    """`figure` of the ring against that of a peer, under a load of the table."""

    def measure(bench: Bench, row: Row) -> None:
        ours, theirs = bench.shared["loads"].figures(load, "ring", peer)
        row.fill(Pairs(figure(ours), figure(theirs), 1))
        row.events_counted = ours.events * len(ours.caller_ns)

    return measure


def two_producers(bench: Bench, row: Row) -> None:
    loads: Loads = bench.shared["loads"]

    def flooded(producers: int):
        load = Load("flood", "fixed", producers)
        return lambda _: loads.once("ring", load, loads.events("ring", load))["caller_ns"]

    row.fill(interleave(flooded(2), flooded(1), calls=1, rounds=7))
    row.events_counted = 16 * loads.events("ring", FLOOD)


def against_origin(bench: Bench, row: Row) -> None:
    loads: Loads = bench.shared["loads"]
    events = loads.events("ring", FLOOD)
    loads.program("ring")
    file = bench.files / "origin.jsonl"
    with Program(*ORIGIN_PROGRAM) as origin:
        row.fill(
            interleave(
                lambda _: loads.once("ring", FLOOD, events)["caller_ns"],
                lambda _: origin.nanoseconds("origin", 10_000, file),
                calls=1,
                rounds=7,
            )
        )
    check_lines(bench, "write", FLOOD, 80_000, file)
    file.unlink()
    row.events_counted = 8 * events + 80_000


def durable(threads: int, each: int, rounds: int):
    """So many threads on one durable log, against as many times the rate of the bare calls in one thread. The first of our calls
    makes the journal, which is in its time; the peer's file is made before."""

    def measure(bench: Bench, row: Row) -> None:
        loads: Loads = bench.shared["loads"]
        ours, bare = Load("flood", "fixed", threads), Load("flood", "fixed", 1)
        row.fill(
            interleave(
                lambda _: loads.once("durable", ours, each * threads)["caller_ns"] / threads,
                lambda _: loads.once("pwrite-fdatasync", bare, each)["caller_ns"] / threads,
                calls=1,
                rounds=rounds,
            )
        )
        row.events_counted = (rounds + 1) * each * (threads + 1)

    return measure


def recovery(bench: Bench, row: Row) -> None:
    """`annals recover` on what a killed process left in a full ring of 64 MiB."""
    bench.shared["loads"].program("ring")
    bench.need_command("recover")
    log = bench.files / "recovery.jsonl"
    took, events = [], 0
    for _ in range(6):
        left = int(run([bench.binaries / "ring_fill", "fill", 64 * MIB, log]))
        took.append(timed([bench.command, "recover", log])[0])
        check_lines(bench, "ring", FLOOD, left, log)
        events += left
        for file in bench.files.glob("recovery.*"):
            file.unlink()
    row.ours = spread(took[1:])
    row.events_counted = events


def idle(bench: Bench, row: Row) -> None:
    bench.shared["loads"].program("ring")
    log = bench.files / "idle.jsonl"
    row.ours = spread(int(run([bench.binaries / "ring_fill", "idle", 64 * MIB, log])) for _ in range(3))


SPDLOG = "ours survives kill -9, the peer's queue does not. One worker, block when full, as many bytes of queue, the same bytes in the file"
FLOOR = "the peer's line is ready: no clock, no encoding, nobody who drains it, no order, no recovery"
ORIGIN = "ours survives kill -9, as the peer's does. The peer opens and closes the file for each event"
BARE = "equal: on the disk on return. The peer's line is ready and its file is zero-filled"

ROWS = [
    (
        Row("ring-caller", "ring: the caller's mean, flood", SPDLOG, "spdlog async", Goal("ratio", 0.1)),
        compared(FLOOD, "spdlog-async", lambda figures: figures.caller_ns),
    ),
    (
        Row("ring-floor", "ring: the caller's mean, flood", FLOOR, "reserve + memcpy", Goal("ratio", 5)),
        compared(FLOOD, "memcpy", lambda figures: figures.caller_ns),
    ),
    (
        Row("ring-open", "ring: p99.9, 100,000 events/s, open loop", SPDLOG, "spdlog async", Goal("ratio", 0.2)),
        compared(OPEN, "spdlog-async", lambda figures: figures.quantile(0.999)),
    ),
    (
        Row("ring-drained", "ring: flood to drained, by the events", SPDLOG, "spdlog async", Goal("speedup", at_least=8)),
        compared(FLOOD, "spdlog-async", lambda figures: figures.drained_ns),
    ),
    (
        Row("ring-cpu", "ring: CPU of all threads, by the events", SPDLOG, "spdlog async", Goal("ratio", 0.2)),
        compared(FLOOD, "spdlog-async", lambda figures: figures.cpu_ns),
    ),
    (Row("ring-producers", "ring: the caller's mean, 2 producers", "equal", "1 producer", Goal("ratio", 2)), two_producers),
    (
        Row("ring-origin", "ring: the caller's mean, flood", ORIGIN, "the origin's (Python)", Goal("speedup", at_least=300)),
        against_origin,
    ),
    (
        Row("durable-16", "durable, 16 threads: time by events", BARE, "pwrite + fdatasync, by 16", Goal("speedup", at_least=0.8)),
        durable(16, each=2000, rounds=9),
    ),
    (
        Row("durable-1", "durable, 1 thread: time by events", BARE, "pwrite + fdatasync", Goal("ratio", 1.05)),
        durable(1, each=3000, rounds=11),
    ),
    (
        Row("ring-recovery", "annals recover, a full ring of 64 MiB", "every acknowledged event is in the log", goal=Goal("ours", 100e6)),
        recovery,
    ),
    (
        Row("ring-idle", "ring: wake-ups in 2 idle seconds", "", goal=Goal("ours", 0), unit="count"),
        idle,
    ),
]


def table_of_loads(bench: Bench) -> list[dict]:
    """Every figure of every subject under every load that was measured."""
    loads: Loads = bench.shared["loads"]
    return [
        {
            "load": load.kind,
            "workload": load.workload,
            "producers": load.producers,
            "subjects": {name: {**NAMED[name].promises(), **figures.as_json()} for name, figures in subjects.items()},
        }
        for load, subjects in loads.measured.items()
    ]
