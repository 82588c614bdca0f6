#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ring that a dead process left, as the command shows and recovers it. The file is made here, after docs/ring-format.md."""
import json
import os
import struct
import subprocess
import unittest

from command import ANNALS, CommandTest, main

ALL = (1 << 64) - 1


def fnv_1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & ALL
    return value


def check_of(line, word):
    words = [int.from_bytes(line[i:i + 8], "little") for i in range(0, len(line) - 7, 8)]
    a, b, c, d = len(line), 0, 0, 0
    for i, value in enumerate(words):
        if i % 2 == 0:
            a = (a + value) & ALL
            b = (b + a) & ALL
        else:
            c = (c + value) & ALL
            d = (d + c) & ALL
    c = (c + (int.from_bytes(line[-8:], "little") if len(line) >= 8 else int.from_bytes(line, "big"))) & ALL
    d = (d + c) & ALL
    total = a * 0x9E3779B97F4A7C15 + b * 0xC2B2AE3D27D4EB4F + c * 0x165667B19E3779F9 + d * 0x27D4EB2F165667C5
    return ((total + (word & (1 << 27) - 1) * 0x9E3779B97F4A7C15) * 0xFF51AFD7ED558CCD & ALL) >> 33


def ring_of(lines, size=65536):
    header = b"ANNALSRG" + struct.pack("<IIQqQ", 3, 4096, size, 1, 1)
    header += struct.pack("<Q", fnv_1a(header))
    chunk = max(size // 64, min(size // 4, 1 << 20))
    records = b""
    for line in lines:
        left = -len(records) % chunk
        if left < 8 + len(line):
            records += bytes(left)  # no record crosses the end of a chunk
        first = 0xA2 << 56 | check_of(line, len(records) // 8) << 25 | len(line)
        records += struct.pack("<Q", first) + line + b"\0" * (-len(line) % 8)
    return header.ljust(4096, b"\0") + records.ljust(size, b"\0")


def line(action):
    return json.dumps({"ts": "2026-03-07T12:00:00+00:00", "container": "web", "action": action},
                      separators=(",", ":")).encode() + b"\n"


class Ring(CommandTest):
    LINES = [line(f"event {i}") for i in range(300)]

    def leave(self, lines=None, mode=0o600, size=65536):
        with open(self.log + ".ring", "wb") as ring:
            ring.write(ring_of(lines or self.LINES, size))
        os.chmod(self.log + ".ring", mode)

    def test_of_a_process_that_died_before_its_first_batch_is_a_log(self):
        self.leave()
        everything = b"".join(self.LINES).decode()
        self.assertEqual(self.run_annals("cat", self.log), (everything, ""))
        self.assertEqual(self.run_annals("query", self.log, "--output", "json"), (everything, ""))
        self.assertEqual(self.run_annals("tail", self.log, "-n", "2"), (b"".join(self.LINES[-2:]).decode(), ""))
        _, err = self.run_annals("segments", self.log)
        self.assertIn("its events are in the ring of a process that ended; `annals recover` brings them into the log", err)
        self.assertFalse(os.path.exists(self.log))
        self.run_annals("recover", self.log)
        with open(self.log, "rb") as log:
            self.assertEqual(log.read(), b"".join(self.LINES))

    def test_that_others_can_write_is_reported_and_not_shown(self):
        self.write(line("in the log"))
        self.leave(mode=0o666)
        for command in ("cat", "query", "tail"):
            with self.subTest(command):
                done = subprocess.run([ANNALS, command, self.log], capture_output=True, env=self.environment, check=False)
                self.assertIn(b"in the log", done.stdout)
                self.assertNotIn(b"event 1", done.stdout)
                self.assertIn(b"users other than its owner can write to it (mode 0666)", done.stderr)

    def test_is_free_while_a_reader_waits_for_its_pager(self):
        self.write(line("first"))
        self.leave([line("x" * 200)] * 2000, size=1 << 20)
        reader = subprocess.Popen([ANNALS, "cat", self.log], stdout=subprocess.PIPE, env=self.environment)
        self.addCleanup(reader.stdout.close)
        self.addCleanup(reader.wait)
        self.assertEqual(reader.stdout.read(10), line("first")[:10])
        self.run_annals("recover", self.log)
        self.assertEqual(10 + len(reader.stdout.read()), len(line("first")) + 2000 * len(line("x" * 200)))


if __name__ == "__main__":
    main()
