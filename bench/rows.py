# SPDX-License-Identifier: Apache-2.0
"""Everything that can be measured, by name."""
import rows_direct
import rows_history
import rows_queues
from loads import Loads
from measure import Failed
from row import Absent, Bench, Row

LOADS = "loads"  # not a row, but the table of all subjects under all loads
PAIRED = [*rows_direct.PAIRED, *rows_history.ROWS, *rows_queues.ROWS]


def names() -> list[str]:
    return [row.name for row in rows_direct.GOOGLE] + [row.name for row, _ in PAIRED] + [LOADS]


def measure(bench: Bench, wanted: list[str], progress) -> list[Row]:
    """Fills the rows, and leaves the loads in bench.shared["loads"]."""
    google = [row for row in rows_direct.GOOGLE if row.name in wanted]
    if google:
        progress(", ".join(row.name for row in google))
        rows_direct.measure_google(bench, google)
    loads = bench.shared["loads"] = Loads(bench, LOADS in wanted, progress)
    paired = [(row, run) for row, run in PAIRED if row.name in wanted]
    try:
        for row, run in paired:
            progress(row.name)
            try:
                run(bench, row)
            except Absent as absent:
                row.absent = str(absent)
            except (Failed, OSError) as failed:
                row.failure = str(failed)
        if LOADS in wanted:
            loads.whole_table()
    finally:
        loads.close()
    return [row for row, _ in paired] + google
