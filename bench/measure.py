# SPDX-License-Identifier: Apache-2.0
"""Paired measurements: two subjects in turn (A B A B ...), the ratio pair by pair, so that both meet the same noise."""
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median


class Failed(Exception):
    """A benchmark did something other than what it was asked for."""


def run(command: list, **options) -> str:
    """What a command printed."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} ended with exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def timed(command: list, **options) -> tuple[float, str]:
    """How many nanoseconds a command took, and what it printed."""
    start = time.perf_counter_ns()
    printed = run(command, **options)
    return time.perf_counter_ns() - start, printed


def spread(values) -> dict:
    values = list(values)
    return {"min": min(values), "median": median(values), "max": max(values)}


@dataclass
class Pairs:
    """Nanoseconds for one call: ours[i] and peer[i] were measured one right after the other."""

    ours: list[float]
    peer: list[float]
    calls: int  # of each, warm-up included

    @property
    def ratio(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.peer)]

    @property
    def difference(self) -> list[float]:
        return [a - b for a, b in zip(self.ours, self.peer)]


class Program:
    """A process that runs subjects on request; see serve.h."""

    def __init__(self, *command: str | Path) -> None:
        self._name = " ".join(map(str, command))
        self._process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_) -> None:
        try:
            self._process.stdin.close()
        except BrokenPipeError:  # it ended early, which nanoseconds() has reported
            pass
        self._process.wait()

    def request(self, line: str) -> None:
        try:
            self._process.stdin.write(line + "\n")
        except BrokenPipeError:  # answer() says so
            pass

    def answer(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"{self._name} ended early (exit code {self._process.wait()})")
        return line

    def ask(self, line: str) -> str:
        self.request(line)
        return self.answer()

    def nanoseconds(self, subject: str, calls: int, path: Path) -> float:
        """How long one of `calls` calls took, in the process's own measure."""
        return int(self.ask(f"{subject} {calls} {path}")) / calls


def interleave(ours, peer, *, calls: int, rounds: int) -> Pairs:
    """ours(calls) and peer(calls) give the nanoseconds of one call. The first pair warms up and is not counted."""
    ours(calls), peer(calls)
    pairs = [(ours(calls), peer(calls)) for _ in range(rounds)]
    return Pairs([a for a, _ in pairs], [b for _, b in pairs], calls * (rounds + 1))
