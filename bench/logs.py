# SPDX-License-Identifier: Apache-2.0
"""The log files of the benchmarks: makes big ones quickly, and counts what reached those that were written."""
import json
import os
from pathlib import Path

from measure import Failed

EVENT = {"container": "web", "action": "denied", "dest": "203.0.113.7:443", "detail": "not in allowlist; rule 17"}
LINE = json.dumps({"ts": "2026-11-23T09:00:00+00:00", **EVENT}, separators=(",", ":")).encode() + b"\n"
LINE_BYTES = 133  # what the goals are about
assert len(LINE) == LINE_BYTES

MIB = 1024 * 1024
BLOCK = LINE * (MIB // LINE_BYTES)


def written_log(path: Path, size: int) -> Path:
    """A log of about `size` bytes, every one of them a line's."""
    with open(path, "wb") as file:
        for _ in range(size // len(BLOCK)):
            file.write(BLOCK)
    return path


def sparse_log(path: Path, size: int) -> Path:
    """A log of `size` bytes that takes 1 MiB of disk: a hole, then lines."""
    with open(path, "wb") as file:
        file.seek(size - len(BLOCK) - 1)
        file.write(b"\n" + BLOCK)
    return path


def sync(path: Path) -> None:
    """What is dirty is written now, and not by the kernel in the middle of a measurement."""
    with open(path, "rb") as file:
        os.fdatasync(file.fileno())


def check(path: Path, events: int) -> None:
    """Every event logged is one line in the file, and each line is the event."""
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) != events:
        raise Failed(f"{path}: {events} events were logged, {len(lines)} lines are in the file")
    for bare in {line[LINE.index(b'"container"') :] for line in lines}:
        if bare != LINE[LINE.index(b'"container"') :]:
            raise Failed(f"{path}: expected lines like {LINE!r}; found one that ends in {bare!r}")
    if any(len(line) != LINE_BYTES for line in lines):
        raise Failed(f"{path}: expected lines of {LINE_BYTES} bytes")
