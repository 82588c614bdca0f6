# SPDX-License-Identifier: Apache-2.0
"""Prints the rows for people: ours on one line, the peer below it."""
import textwrap

from rows import Row

WIDTHS = {"row": 16, "ours, peer": 41, "time of one": 28, "ours/peer": 27, "goal": 18, "counted": 9}
BESIDE_PEER = list(WIDTHS.values())[3:]  # the columns across which the guarantee is written
INDENT = [" " * width for width in list(WIDTHS.values())[:3]]


def number(value: float) -> str:
    return f"{value:.2f}" if 0.1 <= abs(value) < 10 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def unit_of(ns: float) -> tuple[str, float]:
    units = ((" s", 1e9), (" ms", 1e6), (" us", 1e3), (" ns", 1))
    return next(found for found in units if abs(ns) >= found[1] or found[1] == 1)


def spread(measured: dict, unit: str, scale: float = 1) -> str:
    """All three numbers in one unit, so that they compare at a glance."""
    median, low, high = (number(measured[key] / scale) for key in ("median", "min", "max"))
    return f"{median}{unit} ({low}..{high})"


def times(measured: dict) -> str:
    return spread(measured, *unit_of(measured["median"]))


def goal(row: Row) -> str:
    if not row.goal:
        return ""
    unit, scale = ("x", 1) if row.goal.of == "ratio" else unit_of(row.goal.at_most)
    sign = "+" if row.goal.of == "difference_ns" else ""
    return f"<= {sign}{row.goal.at_most / scale:g}{unit} " + ("reached" if row.reached else "MISSED")


def first_line(row: Row) -> list[str]:
    compared = ""
    if row.ratio:
        compared = spread(row.ratio, "x")
    if row.goal and row.goal.of == "difference_ns" and row.difference_ns:
        compared = "+" + times(row.difference_ns)
    counted = "" if row.events_counted is None else f"{row.events_counted}"
    return [row.name, row.what, times(row.ours_ns), compared, goal(row), counted]


def lines(row: Row) -> list[list[str]]:
    if row.failure:
        return [[row.name, row.what, "FAILED", row.failure]]
    if not row.peer:
        return [first_line(row)]
    notes = textwrap.wrap(row.guarantee, sum(BESIDE_PEER) + 3 * (len(BESIDE_PEER) - 1))
    peer = [INDENT[0], f"  {row.peer}", times(row.peer_ns)]
    return [first_line(row)] + [[*(INDENT if i else peer), note] for i, note in enumerate(notes)]


def print_table(rows: list[Row]) -> None:
    widths = list(WIDTHS.values())
    print(" | ".join(name.ljust(width) for name, width in WIDTHS.items()).rstrip())
    print("-+-".join("-" * width for width in widths))
    for row in rows:
        for cells in lines(row):
            print(" | ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
