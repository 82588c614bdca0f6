#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command is ended by SIGTERM or SIGINT at a random moment of whatever it does: it ends, by that signal, and leaves a log
that opens, reads whole and has every event once; what it left half made the next run takes away or finishes.

usage: signals_test.py ANNALS PLUGINS. ANNALS_SIGNAL_ROUNDS says how often each command is ended (default 3), ANNALS_SIGNAL_SEED at
which moments (printed).
"""
import collections
import glob
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

from command import ANNALS, CommandTest, Following, main

PLUGINS = os.path.abspath(sys.argv[2])
ROUNDS = int(os.environ.get("ANNALS_SIGNAL_ROUNDS", "3"))
SEED = int(os.environ.get("ANNALS_SIGNAL_SEED", random.randrange(1 << 32)))


class Ended(CommandTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(f"{SEED} {self.id()}")
        self.counts = collections.Counter()
        self.seconds = None  # that the command takes when it is let be
        self.torn = 0  # lines that a full disk tore, and that stand behind once more

    def tearDown(self):
        print(f"{self.id()}: {ROUNDS} rounds, seed {SEED}, {dict(self.counts)}")

    def fresh(self):
        """An empty directory for the next round."""
        shutil.rmtree(self.directory)
        os.mkdir(self.directory)

    def configure(self, delivery):
        config = os.path.join(self.directory, "annals.json")
        settings = {"path": "audit.jsonl", "plugin_directories": [PLUGINS], "delivery": delivery,
                    "sink": {"type": "rotate", "size": "8KiB"}}
        if delivery == "ring":
            settings["ring_bytes"] = "64KiB"
        with open(config, "w") as file:
            json.dump(settings, file)
        return config

    def input_of(self, first, count):
        text = "".join(json.dumps({"container": "web", "action": "x", "n": n, "detail": "d" * 100}) + "\n"
                       for n in range(first, first + count))
        return text.encode()

    def end(self, *arguments, stdin=b""):
        """Runs the command, and ends it at a random moment. True where it was done before."""
        which = self.random.choice((signal.SIGTERM, signal.SIGINT))
        with open(os.path.join(self.directory, "..", f"{os.path.basename(self.directory)}.in"), "wb+") as file:
            os.unlink(file.name)
            file.write(stdin)
            file.seek(0)
            begun = time.monotonic()
            with subprocess.Popen([ANNALS, *arguments], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=self.environment) as process:
                if self.seconds is not None:
                    time.sleep(self.random.uniform(0, self.seconds))
                    process.send_signal(which)
                try:
                    _, errors = process.communicate(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    self.fail(f"annals {arguments[0]} hangs after {which.name}")
        if self.seconds is None:
            self.seconds = time.monotonic() - begun
        self.assertIn(process.returncode, (0, -which), errors.decode(errors="replace"))
        self.counts["done before" if process.returncode == 0 else which.name] += 1
        return process.returncode == 0

    def rounds(self):
        """As many, and one before them that is let be, to see how long it takes."""
        for _ in range(ROUNDS + 1):
            self.fresh()
            yield

    def events(self):
        if not os.path.exists(self.log) and not glob.glob(os.path.join(self.directory, "audit-*")):
            return []  # ended before the first event; between two segments there is none at the path either
        out, err = self.run_annals("cat", self.log)
        self.assertEqual(err, "", "damage, or a gap")
        found = []
        torn = 0
        for line in out.splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                torn += 1
        self.assertEqual(torn, self.torn, "lines that are no events")
        return found

    def numbers(self):
        return [e["n"] for e in self.events() if e["action"] == "x"]

    def expect_whole(self, count=None):
        """The log takes an event; each of those before is there once, in order; and its segments are numbered without a hole."""
        found = self.numbers()
        self.assertEqual(found, list(range(len(found) if count is None else count)))
        self.run_annals("log", self.log, "web", "after")
        self.assertEqual(self.events()[-1]["action"], "after")
        self.assertEqual(self.numbers(), found)
        segments = {int(os.path.basename(path)[6:12]) for path in glob.glob(os.path.join(self.directory, "audit-*"))}
        self.assertEqual(segments, set(range(1, len(segments) + 1)))
        return len(found)

    def expect_only(self, *suffixes):
        """No file lies about that is none of these."""
        for name in os.listdir(self.directory):
            self.assertTrue(name.endswith((".jsonl", ".lock", "annals.json", *suffixes)), name)


class LogEnded(Ended):
    def log_with(self, delivery):
        for _ in self.rounds():
            config = self.configure(delivery)
            done = self.end("log", "--config", config, "--jsonl", stdin=self.input_of(0, 400))
            self.expect_only(".ring", ".journal")
            self.run_annals("recover", self.log)
            self.expect_only()
            count = self.expect_whole(400 if done else None)
            self.run_annals("log", "--config", config, "--jsonl", stdin=self.input_of(count, 10))
            self.expect_whole(count + 10)
            self.expect_only()

    def test_log_delivering_directly(self):
        self.log_with("direct")

    def test_log_delivering_durably(self):
        self.log_with("durable")

    def test_log_delivering_through_a_ring(self):
        self.log_with("ring")

    def test_log_is_taken_over_by_the_next_without_recover(self):
        for _ in self.rounds():
            config = self.configure("ring")
            self.end("log", "--config", config, "--jsonl", stdin=self.input_of(0, 400))
            self.run_annals("log", "--config", config, "web", "next")
            self.expect_whole()
            self.expect_only()


class MaintenanceEnded(Ended):
    def closed(self):
        return sorted(glob.glob(os.path.join(self.directory, "audit-0*.jsonl")))

    def fill(self, segments, count=60):
        """Closed segments, and a live one, of so many events each."""
        for number in range(segments):
            self.run_annals("log", self.log, "--jsonl", stdin=self.input_of(number * count, count))
            self.run_annals("rotate", self.log)
        self.run_annals("log", self.log, "--jsonl", stdin=self.input_of(segments * count, count))
        return (segments + 1) * count

    def test_rotate(self):
        for _ in self.rounds():
            count = self.fill(1)
            self.end("rotate", self.log)
            self.expect_whole(count)
            self.run_annals("rotate", self.log)
            self.expect_whole(count)
            self.expect_only()

    def test_archive(self):
        for _ in self.rounds():
            count = self.fill(2, 2000)
            self.end("archive", self.log, "--level", "3")
            self.expect_only(".zst", ".zst.tmp")
            self.expect_whole(count)
            self.run_annals("archive", self.log)
            self.expect_whole(count)
            self.expect_only(".zst")
            self.assertEqual(self.closed(), [])

    def test_prune(self):
        for _ in self.rounds():
            self.fill(5)
            self.end("prune", self.log, "--keep-segments", "2", "--yes")
            self.run_annals("prune", self.log, "--keep-segments", "2", "--yes")
            self.expect_only(".deleted", ".holds")
            told = [e["dest"] for e in self.events() if e["action"] == "segment_deleted"]
            self.assertEqual(len(told), len(set(told)), "a deletion is told twice")
            with open(self.log + ".deleted") as file:
                recorded = [record["segment"] for record in map(json.loads, file) if "segment" in record]
            kept = [int(os.path.basename(path)[6:12]) for path in self.closed()]
            self.assertEqual(sorted(recorded + kept), list(range(1, 6)))
            self.assertEqual(len(told), len(recorded))
            first = 60 * len(recorded)
            self.assertEqual(self.numbers(), list(range(first, 360)))

    def test_hold(self):
        for _ in self.rounds():
            count = self.fill(1)
            self.end("hold", "add", self.log, "case")
            self.run_annals("hold", "list", self.log)
            self.run_annals("hold", "add", self.log, "other")
            self.assertIn("other", self.run_annals("hold", "list", self.log)[0])
            self.expect_only(".holds", ".deleted")
            self.expect_whole(count)

    def test_recover(self):
        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, 70_000))

        for _ in self.rounds():
            # The log cannot grow past the limit: what comes then stays in the ring.
            config = self.configure("ring")
            with open(config) as file:
                settings = json.load(file)
            settings["sink"] = {"type": "file"}
            with open(config, "w") as file:
                json.dump(settings, file)
            full = subprocess.run([ANNALS, "log", "--config", config, "--jsonl"], input=self.input_of(0, 500), capture_output=True,
                                  env=self.environment, timeout=60, preexec_fn=small_files)
            self.assertEqual(full.returncode, 3, full.stderr)
            self.assertIn(b"events are left in", full.stderr)
            self.assertIn(b"annals recover", full.stderr)
            self.assertTrue(os.path.exists(self.log + ".ring"))
            self.assertLess(len(self.lines()), 500)
            with open(self.log, "rb") as file:
                self.torn = 0 if file.read().endswith(b"\n") else 1
            self.end("recover", self.log)
            self.expect_only(".ring")
            self.run_annals("recover", self.log)
            self.expect_whole(500)
            self.expect_only()


class ReadingEnded(Ended):
    def reading(self, *arguments):
        self.run_annals("log", self.log, "--jsonl", stdin=self.input_of(0, 3000))
        before = self.lines()
        for _ in range(ROUNDS + 1):
            self.end(*arguments)
        self.assertEqual(self.lines(), before)
        self.expect_only()
        self.expect_whole(3000)

    def test_query(self):
        self.reading("query", self.log, "--action", "x")

    def test_cat(self):
        self.reading("cat", self.log)

    def test_tail(self):
        self.reading("tail", "-n", "3000", self.log)

    def test_tail_that_follows(self):
        """At a random moment, before its handlers are there or behind; and behind the last event, when it ends with 0."""
        self.seconds = 0.3  # it has no end of its own
        self.reading("tail", "-f", "-n", "3000", self.log)
        for which in (signal.SIGTERM, signal.SIGINT):
            following = Following("-n", "3000", self.log, environment=self.environment)
            for _ in range(3000):
                following.line()
            self.run_annals("log", self.log, "web", "followed")
            following.line()
            self.assertEqual(following.end(which), (0, ""))


if __name__ == "__main__":
    main()
