# SPDX-License-Identifier: Apache-2.0
"""The Python module that annals started from, step by step, as a peer: open, append and close for every event.

Driven like the other benchmark programs: reads lines "SUBJECT CALLS PATH", answers with nanoseconds.
"""
import json
import logging
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

logger = logging.getLogger(__name__)


class AuditLogger:
    def __init__(self, *, audit_path: Path, enabled: bool = True) -> None:
        self._audit_path = audit_path
        self._enabled = enabled

    def log_event(self, container: str, action: str, *, dest: str | None = None, detail: str | None = None) -> None:
        if not self._enabled:
            return
        entry: dict = {
            "ts": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "container": container,
            "action": action,
        }
        if dest is not None:
            entry["dest"] = dest
        if detail is not None:
            entry["detail"] = detail

        try:
            self._audit_path.parent.mkdir(parents=True, exist_ok=True)
            with self._audit_path.open("a") as f:
                f.write(json.dumps(entry, separators=(",", ":")) + "\n")
        except OSError as e:
            logger.warning("Failed to write audit log to %s: %s", self._audit_path, e)

    def tail_log(self, n: int = 50) -> Iterator[dict]:
        if not self._audit_path.is_file():
            return

        lines = self._audit_path.read_text().splitlines()
        for line in lines[-n:] if n > 0 else []:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def append(log: AuditLogger, calls: int) -> None:
    for _ in range(calls):
        log.log_event("web", "denied", dest="203.0.113.7:443", detail="not in allowlist; rule 17")


def tail(log: AuditLogger, calls: int) -> None:
    for _ in range(calls):
        if len(list(log.tail_log(50))) != 50:
            sys.exit("origin: tail_log did not return 50 events")


def serve() -> None:
    subjects = {"origin": (append, True), "origin-disabled": (append, False), "origin-tail": (tail, True)}
    for request in sys.stdin:
        name, calls, path = request.rstrip("\n").split(" ", 2)
        run, enabled = subjects[name]
        log = AuditLogger(audit_path=Path(path), enabled=enabled)
        start = time.perf_counter_ns()
        run(log, int(calls))
        print(time.perf_counter_ns() - start, flush=True)


if __name__ == "__main__":
    serve()
