# SPDX-License-Identifier: Apache-2.0
"""Logs of made-up events that reach back years, plain and compressed."""
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from measure import run
from row import Bench

GIB = 1024**3


@dataclass
class Log:
    """A log of closed segments and an empty live one."""

    live: Path
    lines: int
    bytes: int  # of lines

    def segments(self, ending: str) -> list[Path]:
        return sorted(self.live.parent.glob(f"{self.live.stem}-*{ending}"))


def let_names_settle() -> None:
    """A segment is not archived within a second of its closing: others may still write to it."""
    time.sleep(1.2)


def generated(bench: Bench, name: str, size: int, segment: int) -> Log:
    """A plain log over the year 2025."""
    live = bench.files / name / "audit.jsonl"
    live.parent.mkdir()
    command = [bench.binaries / "generate", "--log", live, "--bytes", size, "--segment", segment]
    made = json.loads(run([*command, "--from", "2025-01-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z"]))
    return Log(live, made["lines"], made["bytes"])


def archived(bench: Bench, name: str, size: int, segment: int) -> Log:
    """The same, compressed by `annals archive`."""
    bench.need_command("archive")
    log = generated(bench, name, size, segment)
    let_names_settle()
    run([bench.command, "archive", log.live])
    return log


def year(bench: Bench) -> Log:
    """2 GiB of lines over one year, compressed."""
    return bench.once("year", lambda: archived(bench, "year", 2 * GIB, 64 * 1024 * 1024))


def copies_of(archive: Path, to: Path, compressed_bytes: int) -> Path:
    """A log whose closed segments are all the same archive, under as many names as make up the bytes."""
    to.mkdir()
    for number in range(1, compressed_bytes // archive.stat().st_size + 1):
        os.link(archive, to / f"audit-{number:06}-20250101T{number // 3600:02}{number // 60 % 60:02}{number % 60:02}Z.jsonl.zst")
    live = to / "audit.jsonl"
    live.touch()
    return live
