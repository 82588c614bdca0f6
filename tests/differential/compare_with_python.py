#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Logs fresh random events and compares each line with Python's json.dumps, and what the reader makes of it with what went in.

Usage: compare_with_python.py RANDOM_EVENTS COUNT [SEED]
"""
import json
import random
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone

PRECISIONS = ("seconds", "milliseconds", "microseconds")
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def text(word):
    return None if word == "-" else bytes.fromhex(word[1:]).decode("utf-8", errors="replace")


def value(kind, word):
    if kind == "null":
        return None
    if kind == "bool":
        return word == "1"
    if kind == "int":
        return int(word)
    if kind == "double":
        return float.fromhex(word)
    if kind == "string":
        return text(word)
    return json.loads(bytes.fromhex(word[1:]))


def timestamp(word):
    micros, precision = word.split(":")
    return (EPOCH + timedelta(microseconds=int(micros))).isoformat(timespec=PRECISIONS[int(precision)])


def entry(words, ts):
    made = {"ts": ts, "container": text(words[1]), "action": text(words[2])}
    for name, word in (("dest", words[3]), ("detail", words[4])):
        if word != "-":
            made[name] = text(word)
    fields = words[5:]
    for i in range(0, len(fields), 3):
        made[text(fields[i])] = value(fields[i + 1], fields[i + 2])
    return made


def main():
    program, count = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="annals-test-") as directory:
        subprocess.run([program, str(seed), str(count), directory], check=True)
        compared = 0
        with open(f"{directory}/inputs") as inputs, open(f"{directory}/outputs") as outputs, \
                open(f"{directory}/audit.jsonl", "rb") as lines:
            for before, after, line in zip(inputs, outputs, lines, strict=True):
                words, read = before.split(), after.split()
                made = entry(words, timestamp(words[0]))
                expected = json.dumps(made, separators=(",", ":")).encode() + b"\n"
                if line != expected:
                    sys.exit(f"event {compared}, seed {seed}:\nwrote    {line!r}\nexpected {expected!r}")
                back = entry(read, text(read[0]))
                # repr tells 1 from 1.0 and 0.0 from -0.0
                if repr(list(back.items())) != repr(list(made.items())):
                    sys.exit(f"event {compared}, seed {seed}:\nread back {back!r}\nexpected  {made!r}")
                compared += 1
        if compared != count:
            sys.exit(f"compared {compared} events; expected {count}")
    print(f"{compared} events written as Python writes them, and read back as they went in")


main()
