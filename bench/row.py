# SPDX-License-Identifier: Apache-2.0
"""One line of the table: what was measured, against whom, and whether it is good enough."""
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from measure import Pairs, run, spread


@dataclass
class Goal:
    of: str  # the measure whose median is held against the goal: ours, ratio, difference or speedup
    at_most: float | None = None
    at_least: float | None = None

    def reached(self, measured: float) -> bool:
        return measured <= self.at_most if self.at_least is None else measured >= self.at_least


@dataclass
class Row:
    """What a measurement fills in stays None where there is no such thing."""

    name: str
    what: str
    guarantee: str
    peer: str | None = None
    goal: Goal | None = None
    unit: str = "ns"  # of ours and theirs: ns, bytes or count
    ours: dict | None = None
    theirs: dict | None = None
    ratio: dict | None = None  # ours by theirs
    speedup: dict | None = None  # theirs by ours
    difference: dict | None = None
    events_counted: int | None = None
    failure: str | None = None
    absent: str | None = None  # why it cannot be measured here, which is no failure

    @property
    def reached(self) -> bool | None:
        measured = getattr(self, self.goal.of) if self.goal else None
        return None if measured is None else self.goal.reached(measured["median"])

    def fill(self, pairs: Pairs) -> None:
        self.ours, self.theirs = spread(pairs.ours), spread(pairs.peer)
        self.ratio, self.difference = spread(pairs.ratio), spread(pairs.difference)
        self.speedup = spread(1 / ratio for ratio in pairs.ratio) if min(pairs.ratio) > 0 else None


class Absent(Exception):
    """Something that a row needs is not on this machine, or not in this build."""


@dataclass
class Bench:
    """Where things are, and what the rows have made in common."""

    binaries: Path
    annals: Path
    files: Path  # an empty directory on a disk
    peers: Path  # where peers are built that are built when they are needed
    queue_bytes: int
    shared: dict = field(default_factory=dict)

    @property
    def toolchain(self) -> dict:
        return json.loads((self.binaries / "toolchain.json").read_text())

    @property
    def command(self) -> Path:
        return self.annals / "bin" / "annals"

    def need_command(self, name: str) -> None:
        """Raises Absent where there is no `annals NAME`."""
        if not re.search(rf"^\s+{name}\b", self.once("help", lambda: run([self.command, "--help"])), re.M):
            raise Absent(f"this build has no `annals {name}`")

    def once(self, name: str, make):
        """What `make` made the first time it was asked for by this name."""
        if name not in self.shared:
            self.shared[name] = make()
        return self.shared[name]
