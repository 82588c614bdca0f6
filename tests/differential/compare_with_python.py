#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Logs fresh random events and compares each line with Python's json.dumps, and what the reader makes of it with what went in.

Usage: compare_with_python.py RANDOM_EVENTS COUNT [SEED]
       compare_with_python.py --corpora CORPUS_EVENTS ENCODER_CORPUS DECODER_CORPUS: the same with the inputs of two fuzz targets
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


def compare(directory, what):
    """Holds the log in the directory against what went in and what was read; returns the number of events."""
    compared = 0
    with open(f"{directory}/inputs") as inputs, open(f"{directory}/outputs") as outputs, \
            open(f"{directory}/audit.jsonl", "rb") as lines:
        for before, after, line in zip(inputs, outputs, lines, strict=True):
            words, read = before.split(), after.split()
            made = entry(words, timestamp(words[0]))
            expected = json.dumps(made, separators=(",", ":")).encode() + b"\n"
            # Raw JSON keeps the spelling of its numbers, and names that stand twice: there the values decide.
            if line != expected and "json" in words[6::3]:
                line = json.dumps(json.loads(line), separators=(",", ":")).encode() + b"\n"
            if line != expected:
                sys.exit(f"event {compared}, {what}:\nwrote    {line!r}\nexpected {expected!r}")
            back = entry(read, text(read[0]))
            # repr tells 1 from 1.0 and 0.0 from -0.0
            if repr(list(back.items())) != repr(list(made.items())):
                sys.exit(f"event {compared}, {what}:\nread back {back!r}\nexpected  {made!r}")
            compared += 1
    return compared


def compare_decoded(directory):
    """Holds what was read of lines that we did not write against what Python reads of them; returns the number of lines."""
    compared = 0
    with open(f"{directory}/lines") as lines, open(f"{directory}/decoded") as decoded:
        for line, words in zip(lines, decoded, strict=True):
            expected = json.loads(bytes.fromhex(line.strip()[1:]))
            read = words.split()
            back = entry(read, text(read[0]))
            for name in ("ts", "container", "action"):  # missing ones, and those that are no texts, are empty
                if not isinstance(expected.get(name), str) and back.get(name) == "":
                    del back[name]
            if repr(sorted(back.items())) != repr(sorted(expected.items())):
                sys.exit(f"line {compared}:\nread     {back!r}\nexpected {expected!r}\nline {bytes.fromhex(line.strip()[1:])!r}")
            compared += 1
    return compared


def compare_corpora(program, encoder_corpus, decoder_corpus):
    with tempfile.TemporaryDirectory(prefix="annals-test-") as directory:
        subprocess.run([program, encoder_corpus, decoder_corpus, directory], check=True)
        written, read = compare(directory, "of the corpus"), compare_decoded(directory)
    if written < 20 or read < 20:
        sys.exit(f"compared {written} events and {read} lines; expected more in a corpus")
    print(f"{written} events of a corpus written as Python writes them, {read} lines read as Python reads them")


def main():
    if sys.argv[1] == "--corpora":
        return compare_corpora(*sys.argv[2:])
    program, count = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="annals-test-") as directory:
        subprocess.run([program, str(seed), str(count), directory], check=True)
        compared = compare(directory, f"seed {seed}")
    if compared != count:
        sys.exit(f"compared {compared} events; expected {count}")
    print(f"{compared} events written as Python writes them, and read back as they went in")


main()
