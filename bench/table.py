# SPDX-License-Identifier: Apache-2.0
"""Prints the rows for people: ours on one line, the peer below it."""
import textwrap

from rows import Row

WIDTHS = {"row": 16, "ours, peer": 41, "time of one": 28, "ours/peer": 27, "goal": 18, "counted": 9}
BESIDE_PEER = list(WIDTHS.values())[3:]  # the columns across which the guarantee is written
INDENT = [" " * width for width in list(WIDTHS.values())[:3]]


def number(value: float) -> str:
    return f"{value:.2f}" if 0.1 <= abs(value) < 10 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


UNITS = {
    "ns": ((" s", 1e9), (" ms", 1e6), (" us", 1e3), (" ns", 1)),
    "bytes": ((" MB", 1e6), (" kB", 1e3), (" B", 1)),
    "count": (("", 1),),
}


def unit_of(value: float, kind: str = "ns") -> tuple[str, float]:
    return next(found for found in UNITS[kind] if abs(value) >= found[1] or found[1] == 1)


def spread(measured: dict, unit: str, scale: float = 1) -> str:
    """All three numbers in one unit, so that they compare at a glance."""
    median, low, high = (number(measured[key] / scale) for key in ("median", "min", "max"))
    return f"{median}{unit} ({low}..{high})"


def amounts(measured: dict, kind: str = "ns") -> str:
    return spread(measured, *unit_of(measured["median"], kind))


def goal(row: Row) -> str:
    if not row.goal:
        return ""
    limit = row.goal.at_most if row.goal.at_least is None else row.goal.at_least
    unit, scale = ("x", 1) if row.goal.of in ("ratio", "speedup") else unit_of(limit, row.unit)
    sign = "<= " if row.goal.at_least is None else ">= "
    plus = "+" if row.goal.of == "difference" else ""
    return f"{sign}{plus}{limit / scale:g}{unit} " + ("reached" if row.reached else "MISSED")


def compared(row: Row) -> str:
    if row.goal and row.goal.of == "difference" and row.difference:
        return "+" + amounts(row.difference)
    if row.goal and row.goal.of == "speedup" and row.speedup:
        return spread(row.speedup, "x as fast")
    return spread(row.ratio, "x") if row.ratio else ""


def first_line(row: Row) -> list[str]:
    counted = "" if row.events_counted is None else f"{row.events_counted}"
    return [row.name, row.what, amounts(row.ours, row.unit), compared(row), goal(row), counted]


def lines(row: Row) -> list[list[str]]:
    if row.failure:
        return [[row.name, row.what, "FAILED", row.failure]]
    if row.absent:
        return [[row.name, row.what, "ABSENT", row.absent]]
    if not row.peer:
        return [first_line(row)]
    notes = textwrap.wrap(row.guarantee, sum(BESIDE_PEER) + 3 * (len(BESIDE_PEER) - 1))
    peer = [INDENT[0], f"  {row.peer}", amounts(row.theirs, row.unit)]
    return [first_line(row)] + [[*(INDENT if i else peer), note] for i, note in enumerate(notes)]


def print_table(rows: list[Row]) -> None:
    widths = list(WIDTHS.values())
    print(" | ".join(name.ljust(width) for name, width in WIDTHS.items()).rstrip())
    print("-+-".join("-" * width for width in widths))
    for row in rows:
        for cells in lines(row):
            print(" | ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


LOAD_WIDTHS = {"subject": 16, "caller's mean": 13, "p50": 9, "p99": 9, "p99.9": 9, "max": 9, "events/s": 9, "CPU/event": 9,
               "survives kill -9": 23, "power loss": 12, "may drop": 10, "waits for": 0}


def short(ns: float) -> str:
    unit, scale = unit_of(ns)
    return number(ns / scale) + unit


def load_cells(name: str, of: dict) -> list[str]:
    latency = dict(of.get("latency_ns", []))
    quantiles = [short(latency[q]["median"]) if q in latency else "" for q in (0.5, 0.99, 0.999, 1)]
    rate = f"{1e9 / of['drained_ns']['median']:.3g}".replace("e+0", "e")
    promises = [of[key] for key in ("survives_kill", "survives_power", "may_drop", "blocks")]
    return [name, short(of["caller_ns"]["median"]), *quantiles, rate, short(of["cpu_ns"]["median"]), *promises]


def print_loads(table: list[dict]) -> None:
    """Medians of the rounds; the JSON has their spread."""
    for load in table:
        print(f"\n{load['load']}, {load['workload']}, producers: {load['producers']}")
        print(" | ".join(name.ljust(width) for name, width in LOAD_WIDTHS.items()).rstrip())
        for name, of in load["subjects"].items():
            print(" | ".join(cell.ljust(width) for cell, width in zip(load_cells(name, of), LOAD_WIDTHS.values())).rstrip())
    print()


def print_absent(absent: dict[str, str]) -> None:
    if not absent:
        return
    print("!! ABSENT, and therefore not compared with:")
    for name, cause in absent.items():
        print(f"!!   {name}: {cause}")
