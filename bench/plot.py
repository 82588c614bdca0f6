#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the loads of a bench.json: what a caller waits for, up to the slowest call, and what reaches the file a second.

usage: plot.py build/bench.json OUTPUT.svg
"""
import json
import math
import sys
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 1040, 500
LEFT = {"x": 70, "y": 80, "width": 390, "height": 320}
RIGHT = {"x": 770, "y": 80, "width": 190, "height": 320}
OURS, SAFE, LOST, FLOOR, INK, GRID = "#0b6e4f", "#2f6db3", "#c05621", "#8a8a8a", "#222222", "#e2e2e2"
FLOORS = {"memcpy": "floor: reserve + memcpy", "write": "floor: write(2)"}
OF_OURS = ("ring", "direct", "durable")
NINES = [(0.0, "min"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99"), (0.99999, "99.999 %")]


def label(name: str) -> str:
    return "annals " + name if name in OF_OURS else FLOORS.get(name, name)


def colour(name: str, of: dict) -> str:
    if name in OF_OURS:
        return OURS
    if name in FLOORS:
        return FLOOR
    return SAFE if of["survives_kill"] == "yes" else LOST


def text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", fill: str = INK, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" '
        f'font-weight="{weight}">{escape(words)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, stroke: str = GRID) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"/>'


def duration(ns: float) -> str:
    unit, scale = next(found for found in (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1)) if ns >= found[1] or found[1] == 1)
    return f"{ns / scale:g} {unit}"


def apart(wanted: list[float], gap: float, top: float, bottom: float) -> list[float]:
    """Places near the wanted ones, in the same order, at least `gap` apart."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [0.0] * len(wanted)
    last = top - gap
    for i in order:
        places[i] = last = max(wanted[i], last + gap)
    limit = bottom
    for i in reversed(order):
        places[i] = min(places[i], limit)
        limit = places[i] - gap
    return places


def latencies(subjects: dict) -> list[str]:
    """Percentiles from the left to the right, each step a tenth of the calls; time upwards, logarithmic."""
    shown = {name: of for name, of in subjects.items() if of.get("latency_ns")}
    curves = {name: [(q, max(ns["median"], 10)) for q, ns in of["latency_ns"]] for name, of in shown.items()}
    highest = max(ns for curve in curves.values() for _, ns in curve)
    decades = range(1, math.ceil(math.log10(highest)) + 1)
    x = lambda q: LEFT["x"] + LEFT["width"] * min(-math.log10(max(1 - q, 1e-5)), 5) / 5
    y = lambda ns: LEFT["y"] + LEFT["height"] * (1 - (math.log10(ns) - 1) / (decades[-1] - 1))
    out = [text(LEFT["x"], 50, "How long a caller waits: 100,000 events/s, from each intended start", size=13, weight="bold")]
    for decade in decades:
        out.append(line(LEFT["x"], y(10**decade), LEFT["x"] + LEFT["width"], y(10**decade)))
        out.append(text(LEFT["x"] - 8, y(10**decade) + 4, duration(10**decade), anchor="end", size=11))
    for q, words in NINES:
        out.append(line(x(q), LEFT["y"], x(q), LEFT["y"] + LEFT["height"]))
        out.append(text(x(q), LEFT["y"] + LEFT["height"] + 18, words, anchor="middle", size=11))
    out.append(text(LEFT["x"] + LEFT["width"] / 2, LEFT["y"] + LEFT["height"] + 38, "percentile of the calls", anchor="middle"))
    within = {name: [(q, ns) for q, ns in curve if q <= 0.99999] for name, curve in curves.items()}
    ends = apart([y(curve[-1][1]) for curve in within.values()], 14, LEFT["y"], LEFT["y"] + LEFT["height"])
    for (name, curve), end in zip(within.items(), ends):
        stroke = colour(name, shown[name])
        points = " ".join(f"{x(q):.1f},{y(ns):.1f}" for q, ns in curve)
        width, dash = (3, "") if name in OF_OURS else (1.5, ' stroke-dasharray="4 3"' if name in FLOORS else "")
        out.append(f'<polyline points="{points}" fill="none" stroke="{stroke}" stroke-width="{width}"{dash}/>')
        right = LEFT["x"] + LEFT["width"]
        out.append(line(right, y(curve[-1][1]), right + 8, end, stroke))
        out.append(text(right + 11, end + 4, label(name), fill=stroke, size=11, weight="bold" if name in OF_OURS else "normal"))
    return out


def rates(subjects: dict) -> list[str]:
    """One bar each, the fastest on top."""
    shown = {name: 1e9 / of["drained_ns"]["median"] for name, of in subjects.items() if name != "memcpy"}
    out = [text(RIGHT["x"] - 110, 50, "Million events/s, until all are in the file", size=13, weight="bold")]
    step = RIGHT["height"] / max(len(shown), 1)
    for i, (name, rate) in enumerate(sorted(shown.items(), key=lambda item: -item[1])):
        top = RIGHT["y"] + i * step
        length = RIGHT["width"] * rate / max(shown.values())
        fill = colour(name, subjects[name])
        weight = "bold" if name in OF_OURS else "normal"
        out.append(f'<rect x="{RIGHT["x"]}" y="{top + 3:.1f}" width="{length:.1f}" height="{step - 6:.1f}" fill="{fill}"/>')
        out.append(text(RIGHT["x"] - 8, top + step / 2 + 4, label(name), anchor="end", size=11, weight=weight))
        out.append(text(RIGHT["x"] + length + 6, top + step / 2 + 4, f"{rate / 1e6:.2f}", size=11, weight=weight))
    return out


def legend(machine: dict) -> list[str]:
    out, at = [], LEFT["x"]
    kinds = [(OURS, "ours, survives kill -9"), (SAFE, "others that survive it"), (LOST, "kill -9 loses what is queued"), (FLOOR, "bare floor, no logger")]
    for fill, words in kinds:
        out.append(f'<rect x="{at}" y="{HEIGHT - 45}" width="11" height="11" fill="{fill}"/>')
        out.append(text(at + 16, HEIGHT - 35, words, size=11))
        at += 40 + 6.2 * len(words)
    what = f"133-byte lines, 1 producer, {machine['queue_mib']} MiB of queue; {machine['cores']} cores, {machine['cpu']}"
    out.append(text(LEFT["x"], HEIGHT - 14, what, size=11, fill=FLOOR))
    return out


def drawing(results: dict) -> str:
    found = {(load["load"], load["workload"], load["producers"]): load["subjects"] for load in results["loads"]}
    missing = [key for key in (("open", "fixed", 1), ("flood", "fixed", 1)) if not found.get(key)]
    if missing:
        raise SystemExit(f"plot.py: the loads {missing} were not measured; expected the results of `./dev bench` or `./dev bench loads`")
    parts = latencies(found["open", "fixed", 1]) + rates(found["flood", "fixed", 1]) + legend(results["machine"])
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    title = text(LEFT["x"], 26, "annals and others, one run, in turn, on a real file, lines counted", size=16, weight="bold")
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', title, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Path(sys.argv[2]).write_text(drawing(json.loads(Path(sys.argv[1]).read_text())))
