#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What people have reads our files without us: zstd, zstdcat and jq, zstdgrep, python-zstandard, DuckDB, lnav; and logrotate rotates
a log that is being written, without a lost event. The real tools, on the files of a log made by the annals command.

usage: interop_test.py ANNALS PLUGIN_DIRECTORY LNAV_FORMAT VENV_PYTHON
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ANNALS, PLUGINS, LNAV_FORMAT, VENV_PYTHON = (Path(argument).resolve() if i < 3 else Path(argument) for i, argument in enumerate(sys.argv[1:5]))
DETAILS = ["not in allowlist", "ein Ümlaut und ein 😀", 'quotes " and \\ and \n newlines', "\x1b[31mred", ""]
EVENTS = 3000
ROTATED_AFTER = 1000


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def lines(first, count):
    for n in range(first, first + count):
        event = {"ts": f"2026-11-{1 + n // 1000:02d}T09:{n // 60 % 60:02d}:{n % 60:02d}+00:00", "container": f"c{n % 7}", "action": "allowed" if n % 3 else "denied",
                 "dest": f"203.0.113.{n % 250}:443", "detail": DETAILS[n % len(DETAILS)], "n": n}
        yield json.dumps(event, separators=(",", ":")) + "\n"


class ToolsOfOthers(unittest.TestCase):
    """A log with a compressed segment, a plain closed one, and a live one."""

    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(prefix="annals-test-")
        cls.directory = Path(cls.place.name)
        cls.log = cls.directory / "audit.jsonl"
        for part in range(EVENTS // ROTATED_AFTER):
            text = "".join(lines(part * ROTATED_AFTER, ROTATED_AFTER))
            subprocess.run([ANNALS, "log", cls.log, "--jsonl"], input=text, text=True, check=True, timeout=60)
            if part < 2:
                run(ANNALS, "rotate", cls.log)
            if part == 0:
                time.sleep(1.1)  # a segment is archived when it has been closed for a second
                run(ANNALS, "archive", cls.log, "--plugin", PLUGINS / "annals_zstd.so")
        cls.compressed = sorted(cls.directory.glob("audit-*.jsonl.zst"))
        cls.plain = sorted(cls.directory.glob("audit-*.jsonl"))
        assert len(cls.compressed) == 1 and len(cls.plain) == 1, list(cls.directory.iterdir())
        cls.written = [json.loads(line) for line in lines(0, EVENTS)]

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def test_zstd_tests_an_archive(self):
        run("zstd", "-q", "-t", *self.compressed)

    def test_zstdcat_and_jq_give_the_events(self):
        text = run("sh", "-c", 'zstdcat "$1" | jq -c .', "sh", self.compressed[0])
        self.assertEqual([json.loads(line) for line in text.splitlines()], self.written[:ROTATED_AFTER])

    def test_zstdcat_gives_the_bytes_that_were_logged(self):
        self.assertEqual(run("zstdcat", self.compressed[0]), "".join(lines(0, ROTATED_AFTER)))

    def test_zstdgrep_finds_lines(self):
        found = run("zstdgrep", '"dest":"203.0.113.7:443"', self.compressed[0])
        self.assertEqual(len(found.splitlines()), sum(e["dest"] == "203.0.113.7:443" for e in self.written[:ROTATED_AFTER]))

    def test_python_zstandard_streams_an_archive(self):
        script = "import io, sys, zstandard\n" \
                 "with open(sys.argv[1], 'rb') as f, zstandard.ZstdDecompressor().stream_reader(f, read_across_frames=True) as r:\n" \
                 "    sys.stdout.write(io.TextIOWrapper(r, encoding='ascii').read())\n"
        self.assertEqual(run(VENV_PYTHON, "-c", script, self.compressed[0]), "".join(lines(0, ROTATED_AFTER)))

    def test_duckdb_queries_archives_and_the_live_file_at_once(self):
        query = "SELECT container, count(*) FROM read_json(['audit-*.jsonl.zst', 'audit-*.jsonl', 'audit.jsonl'], " \
                "format = 'newline_delimited', union_by_name = true) WHERE action = 'denied' GROUP BY container ORDER BY container"
        script = "import duckdb, json, sys; print(json.dumps(duckdb.sql(sys.argv[1]).fetchall()))"
        expected = {}
        for event in self.written:
            if event["action"] == "denied":
                expected[event["container"]] = expected.get(event["container"], 0) + 1
        found = json.loads(run(VENV_PYTHON, "-c", script, query, cwd=self.directory))
        self.assertEqual(found, sorted(map(list, expected.items())))

    def test_lnav_knows_the_format(self):
        config = self.directory / "lnav"
        (config / "formats/annals").mkdir(parents=True)
        shutil.copy(LNAV_FORMAT, config / "formats/annals")
        home = {**os.environ, "HOME": str(config), "TERM": "dumb"}
        counted = run("lnav", "-n", "-I", config, "-c", ";SELECT container, count(*) AS n FROM annals_log GROUP BY container ORDER BY container",
                      "-c", ":write-csv-to -", self.log, self.plain[0], self.compressed[0], env=home)
        expected = [f"c{c},{sum(e['container'] == f'c{c}' for e in self.written)}" for c in range(7)]
        self.assertEqual(counted.split("container,n\n")[-1].split(), expected)
        shown = run("lnav", "-n", "-I", config, self.log, env=home)
        self.assertIn("203.0.113.7:443", shown)


class Logrotate(unittest.TestCase):
    """logrotate renames the live file of a writer under load, which notices by itself; or is told to reopen."""

    def test_no_event_is_lost_and_every_file_can_be_taken_in(self):
        with tempfile.TemporaryDirectory(prefix="annals-test-") as place:
            directory = Path(place)
            log = directory / "audit.jsonl"
            config = directory / "logrotate.conf"
            config.write_text(f"{log} {{\n  rotate 100\n  size 1\n  nocompress\n  nocreate\n  missingok\n}}\n")
            config.chmod(0o600)
            writer = subprocess.Popen([ANNALS, "log", log, "--jsonl"], stdin=subprocess.PIPE, text=True)
            total = 0
            rotations = 0
            deadline = time.monotonic() + 60
            while rotations < 5 and time.monotonic() < deadline:
                for line in lines(total, 2000):
                    writer.stdin.write(line)
                writer.stdin.flush()
                total += 2000
                if log.exists() and log.stat().st_size > 0:
                    run("logrotate", "--force", "--state", directory / "state", config)
                    rotations += 1
                    waited = time.monotonic() + 30  # the writer notices with its next event behind 100 ms
                    while not log.exists() and time.monotonic() < waited:
                        for line in lines(total, 1):
                            writer.stdin.write(line)
                        writer.stdin.flush()
                        total += 1
                        time.sleep(0.02)
            writer.stdin.close()
            self.assertEqual(writer.wait(timeout=60), 0)
            self.assertEqual(rotations, 5)
            files = [log, *directory.glob("audit.jsonl.[0-9]*")]
            numbers = sorted(json.loads(line)["n"] for file in files for line in file.read_text().splitlines())
            self.assertEqual(numbers, list(range(total)))
            # The reader takes a foreign file when it is named, and adopt gives all of them numbers.
            one = run(ANNALS, "cat", directory / "audit.jsonl.1")
            self.assertEqual(one, (directory / "audit.jsonl.1").read_text())
            run(ANNALS, "adopt", log, *sorted(directory.glob("audit.jsonl.[0-9]*")), "--yes")
            taken = run(ANNALS, "cat", log)
            read = [json.loads(line) for line in taken.splitlines()]
            self.assertEqual(sorted(e["n"] for e in read if "n" in e), list(range(total)))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
