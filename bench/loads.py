# SPDX-License-Identifier: Apache-2.0
"""Loads on queues: every subject in turn, round after round, its file checked after each."""
import json
from dataclasses import dataclass
from pathlib import Path

from measure import Failed, Program, run, spread
from row import Absent, Bench
from subjects import NAMED, SUBJECTS, program_of

FLOODS_OF_QUEUE = 20  # a flood is so many times the queue's bytes
SYNCHRONOUS_EVENTS = 200_000  # of those without a queue
OPEN_EVENTS = 150_000  # at 100,000 a second
LINE_BYTES = {"fixed": 133, "mix": 147, "escapes": 230, "4k": 4096}  # about


@dataclass(frozen=True)
class Load:
    kind: str  # flood, timed, open: load.h says what they are
    workload: str
    producers: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.workload}, {self.producers} producer{'s' if self.producers > 1 else ''}"


CORE = ("ring", "spdlog-async", "direct", "spdlog-sync", "memcpy", "write")
EVERYBODY = tuple(subject.name for subject in SUBJECTS if subject.name not in ("durable", "pwrite-fdatasync"))
PAIR = ("ring", "spdlog-async")
# What is measured when the whole table is asked for: subjects and counted rounds.
TABLE = {
    Load("flood", "fixed", 1): (EVERYBODY, 5),
    Load("flood", "fixed", 2): (CORE, 5),
    Load("flood", "fixed", 8): (CORE, 5),
    Load("flood", "mix", 1): (EVERYBODY, 3),
    Load("flood", "escapes", 1): (CORE, 3),
    Load("flood", "4k", 1): (CORE, 3),
    Load("timed", "fixed", 1): (CORE, 3),
    Load("open", "fixed", 1): (EVERYBODY, 5),
    Load("open", "fixed", 2): (PAIR, 3),
    Load("open", "fixed", 8): (PAIR, 3),
    Load("open", "mix", 1): (PAIR, 3),
    Load("open", "escapes", 1): (PAIR, 3),
    Load("open", "4k", 1): (PAIR, 3),
}


@dataclass
class Figures:
    """What the rounds of one subject under one load gave, one number of a kind a round."""

    events: int
    caller_ns: list[float]
    drained_ns: list[float]  # by the events
    cpu_ns: list[float]  # by the events
    latency_ns: list[dict[float, float]]

    def quantile(self, q: float) -> list[float]:
        return [round_[q] for round_ in self.latency_ns]

    def as_json(self) -> dict:
        made = {name: spread(getattr(self, name)) for name in ("caller_ns", "drained_ns", "cpu_ns")}
        made["events"] = self.events
        if self.latency_ns[0]:
            made["latency_ns"] = [[q, spread(self.quantile(q))] for q in self.latency_ns[0]]
        return made


class Loads:
    """The programs, started when first needed and kept; what was measured, kept too."""

    def __init__(self, bench: Bench, everything: bool, progress) -> None:
        self._bench, self._everything, self._progress = bench, everything, progress
        self._programs: dict[str, Program] = {}
        self.absent: dict[str, str] = {}  # subject: why
        self.failures: dict[tuple[Load, str], str] = {}
        self.measured: dict[Load, dict[str, Figures]] = {}

    def close(self) -> None:
        for program in self._programs.values():
            program.__exit__()

    def program(self, name: str) -> Program:
        subject = NAMED[name]
        if name in self.absent:
            raise Absent(self.absent[name])
        if subject.program not in self._programs:
            try:
                self._programs[subject.program] = Program(*program_of(self._bench, subject))
            except Absent as cause:
                self.absent.update({s.name: str(cause) for s in SUBJECTS if s.program == subject.program})
                raise
        return self._programs[subject.program]

    def events(self, name: str, load: Load) -> int:
        subject = NAMED[name]
        if load.kind == "open":
            return OPEN_EVENTS
        if subject.flood_events:
            return subject.flood_events
        of_queue = FLOODS_OF_QUEUE * self._bench.queue_bytes // LINE_BYTES[load.workload]
        return of_queue if subject.queued else min(of_queue, SYNCHRONOUS_EVENTS)

    def once(self, name: str, load: Load, events: int) -> dict:
        """One measurement, its file checked and removed."""
        file = self._bench.files / f"{name}.jsonl"
        order = f"{name} {load.kind} {load.workload} {load.producers} {events} {self._bench.queue_bytes} {file}"
        try:
            answer = json.loads(self.program(name).ask(order))
            if name != "memcpy":  # its mapping is overwritten again and again
                check_lines(self._bench, name, load, events, file)
        except Failed:
            self._programs.pop(NAMED[name].program).__exit__()  # it may be in any state
            raise
        finally:
            for left in self._bench.files.glob(f"{name}.*"):
                left.unlink()
        return answer

    def interleaved(self, load: Load, names, rounds: int) -> dict[str, Figures]:
        """Each of the subjects that are there, in turn; the first round warms up and is not counted. One that fails is left out from
        then on, and is among the failures."""
        there = [name for name in names if self._is_there(name) and load.producers <= NAMED[name].producers_max]
        figures = {name: Figures(self.events(name, load), [], [], [], []) for name in there}
        for round_ in range(rounds + 1):
            for name in list(figures):
                self._progress(f"{load}: {name}, round {round_} of {rounds}")
                try:
                    made = self.once(name, load, figures[name].events)
                except Failed as failed:
                    self.failures[load, name] = str(failed)
                    del figures[name]
                    continue
                if round_ == 0:
                    continue
                to = figures[name]
                to.caller_ns.append(made["caller_ns"])
                to.drained_ns.append(made["drained_ns"] / to.events)
                to.cpu_ns.append(made["cpu_ns"] / to.events)
                to.latency_ns.append({q: ns for q, ns in made["latency_ns"]})
        return figures

    def _is_there(self, name: str) -> bool:
        try:
            self.program(name)
        except Absent:
            return False
        return True

    def figures(self, load: Load, *names: str) -> list[Figures]:
        """Of these subjects under a load of the table, measured with all the others of it where the whole table is wanted."""
        for name in names:
            self.program(name)  # or says what is absent
        if load not in self.measured and self._everything:
            self.measured[load] = self.interleaved(load, *TABLE[load])
        known = self.measured.setdefault(load, {})
        if any(name not in known and (load, name) not in self.failures for name in names):
            known.update(self.interleaved(load, names, TABLE[load][1]))
        for name in names:
            if name not in known:
                raise Failed(self.failures[load, name])
        return [known[name] for name in names]

    def whole_table(self) -> None:
        for load in TABLE:
            if load not in self.measured:
                self.measured[load] = self.interleaved(load, *TABLE[load])


def check_lines(bench: Bench, name: str, load: Load, events: int, file: Path) -> None:
    how = "exact" if NAMED[name].exact else "count"
    run([bench.binaries / "check", how, load.workload, events, file])

