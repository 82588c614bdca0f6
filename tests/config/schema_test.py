#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema and the parser agree: on hand-made configurations and on random ones, and on which keys there are.

Where they cannot agree is said here, and checked as such: a schema sees no repeated name, does no arithmetic with units,
and takes 64.0 for an integer.
usage: schema_test.py ANNALS SCHEMA CONFIGURATION_PAGE
"""
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema

ANNALS, SCHEMA, PAGE = sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3]).read_text()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SEED = random.randrange(2**32)
RANDOM = random.Random(SEED)

# Values of each key: (good ones, bad ones).
VALUES = {
    "$schema": (["x"], ["", 5, None, "a\0b"]),
    "path": (["audit.jsonl", "/var/log/a", "ü"], ["", 5, None, [], "a\0b"]),
    "enabled": ([True, False], [0, "true", None]),
    "delivery": (["direct", "ring", "durable"], ["async", "", "Direct", 0]),
    "ring_bytes": (["64KiB", "512MiB", 65536, 536870912, "1MB"], [65535, 536870913, "1 MiB", "", None, "MiB"]),
    "on_full": (["block", "fail", "drop"], ["wait", "", 1]),
    "archive_priority": (["automatic", "lowest", "unchanged"], ["low", "", None]),
    "ring_in_use": (["refuse", "use_direct"], ["direct", "", None]),
    "latency_max": (["1ms", "1s", "500ms", "2ms500us"], ["5", 5, "", None, "5 ms", "ms"]),
    "timestamps": (["seconds", "milliseconds", "microseconds"], ["second", 3, None]),
    "max_line_bytes": (["64", "1KiB", "16MiB", 64, 16777216, "100KB"], [63, 16777217, "1 KiB", "-1", "1.5KB", "", None, True, "KiB"]),
    "file_mode": (["0600", "640", "0666", "00644"], ["0700", "0400", "0777", "", "rw", 600, "0o600", "1600"]),
    "plugin_directories": ([[], ["a", "/b"]], ["a", [""], [5], {}, None]),
    "sink": ([{"type": "file"}, {"type": "stderr", "format": "json"}, {"type": "/opt/annals_x.so", "a": {"b": [1]}}],
             [{}, {"type": ""}, {"type": 5}, {"type": "../x"}, {"type": "file", "a": 1}, {"type": "X"}, {"type": "stderr", "a\0b": 1}, [], "file", None]),
    "archive": ([{"type": "zstd"}, {"type": "zstd", "level": 3, "frame_size": "1MiB"}, {"type": "/opt/annals_x.so"}],
                [{}, {"type": ""}, {"type": 5}, {"type": "../x"}, {"type": "zstd", "a\0b": 1}, [], "zstd", None]),
}
NO_INTEGERS = ["65536.0", "1e3"]  # of max_line_bytes: to a schema, they are
UNITS_ALONE_TELL = ["17MiB", "63B", "1TiB", "99999999999999999999"]  # of max_line_bytes: sizes out of range


def parser_takes(text):
    """The parser's own verdict: a plugin that cannot be found is no problem of the text."""
    with tempfile.TemporaryDirectory(prefix="annals-test-") as directory:
        file = Path(directory, "annals.json")
        file.write_text(text)
        done = subprocess.run([ANNALS, "config", "check", "--no-load", file], capture_output=True, text=True, timeout=60)
        if done.returncode not in (0, 1):
            raise AssertionError(f"config check ended with {done.returncode}: {done.stderr}")
        found = done.returncode == 0 or "problem" not in done.stderr
        if done.returncode == 1 and found and "cannot load the plugin" not in done.stderr:
            raise AssertionError(f"refused for what is no problem: {done.stderr}")
        return found, done.stderr


def compare(config):
    text = json.dumps(config)
    takes, said = parser_takes(text)
    errors = [error.message for error in VALIDATOR.iter_errors(config)]
    if takes != (not errors):
        raise AssertionError(f"seed {SEED}: {text}\nthe parser {'takes it' if takes else 'refuses it: ' + said}\nthe schema says {errors}")


def random_config():
    config = {}
    for key, (good, bad) in VALUES.items():
        if RANDOM.random() < 0.5:
            config[key] = RANDOM.choice(bad if RANDOM.random() < 0.12 else good)
    if RANDOM.random() < 0.1:
        config[RANDOM.choice(["paht", "Path", "sinks", ""])] = 1
    return config


def main():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    keys = set(SCHEMA["properties"])
    assert keys == set(VALUES), keys ^ set(VALUES)
    described = set(re.findall(r"^\| `([$\w]+)` \|", PAGE, re.M))
    assert described >= keys, f"docs/configuration.md does not describe {keys - described}"
    _, said = parser_takes('{"nothing": 1, "path": "x"}')
    known = set(re.findall(r'"([$\w]+)"', said.split("expected one of")[1].split("(did you")[0]))
    assert known == keys, f"the parser and the schema differ in {known ^ keys}"

    hand_made = [{}, {"path": "x"}, [], 5, None, {"path": "x", "extra": 1}]
    for key, (good, bad) in VALUES.items():
        hand_made += [{"path": "x", key: value} for value in good + bad]
    for config in hand_made:
        compare(config)
    for _ in range(150):
        compare(random_config())

    for value in UNITS_ALONE_TELL:
        config = {"path": "x", "max_line_bytes": value}
        assert not parser_takes(json.dumps(config))[0] and VALIDATOR.is_valid(config), value
    for value in NO_INTEGERS:
        text = f'{{"path": "x", "max_line_bytes": {value}}}'
        assert not parser_takes(text)[0] and VALIDATOR.is_valid(json.loads(text)), value
    repeated = '{"path": "x", "path": "y"}'
    assert not parser_takes(repeated)[0] and VALIDATOR.is_valid(json.loads(repeated))
    print(f"{len(hand_made)} hand-made and 150 random configurations (seed {SEED}): the schema and the parser agree")


main()
