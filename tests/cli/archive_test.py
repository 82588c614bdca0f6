#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""annals archive."""
import fcntl
import os
import pty
import subprocess
import unittest

from command import ANNALS, CommandTest, main


class Archive(CommandTest):
    def segment(self, number, count=1000):
        path = os.path.join(self.directory, f"audit-{number:06}-20260101T000000Z.jsonl")
        lines = "".join(f'{{"ts":"2026-01-01T00:00:00+00:00","container":"web","action":"denied","n":{number * 10**6 + i}}}\n'
                        for i in range(count))
        with open(path, "w", encoding="ascii") as file:
            file.write(lines)
        return path, lines

    def decompressed(self, path):
        return subprocess.run(["zstdcat", path], capture_output=True, check=True, text=True).stdout

    def test_closed_segments_are_compressed_and_the_live_one_is_not(self):
        segments = [self.segment(number) for number in (1, 2, 10)]
        self.write(b"{}\n")
        out, err = self.run_annals("archive", self.log)
        self.assertRegex(out, r"^3 of 3 segments archived: \S+ KB in \S+ KB, \d+\.\d to 1\n$")
        self.assertEqual(err, "")
        for path, lines in segments:
            self.assertFalse(os.path.exists(path))
            subprocess.run(["zstd", "-qt", path + ".zst"], check=True)
            self.assertEqual(self.decompressed(path + ".zst"), lines)
        self.assertEqual(self.lines(), [b"{}"])
        out, _ = self.run_annals("archive", self.log)
        self.assertIn("nothing to archive", out)

    def test_a_reader_that_locks_segments_does_not_stop_the_archiver(self):
        segments = [self.segment(number) for number in (1, 2)]
        held = [os.open(path, os.O_RDONLY) for path, _ in segments]
        for descriptor in held:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        out, err = self.run_annals("archive", self.log)
        self.assertIn("2 of 2 segments archived", out)
        self.assertEqual(err, "")
        self.assertEqual(os.stat(self.log + ".lock").st_mode & 0o077, 0)
        for descriptor in held:
            os.close(descriptor)

    def test_the_level_is_the_archivers(self):
        sizes = []
        for level in ("1", "19"):
            path, lines = self.segment(1, 20000)
            self.run_annals("archive", self.log, "--level", level)
            sizes.append(os.path.getsize(path + ".zst"))
            self.assertEqual(self.decompressed(path + ".zst"), lines)
            os.remove(path + ".zst")
        self.assertGreater(sizes[0], sizes[1])

    def test_a_segment_whose_archive_holds_something_else_is_left_and_the_others_are_done(self):
        path, lines = self.segment(1)
        other, _ = self.segment(2)
        subprocess.run(["zstd", "-q", "-o", path + ".zst"], input=b"something else\n", check=True)
        out, err = self.run_annals("archive", self.log, code=1)
        self.assertIn("1 of 2 segments archived", out)
        self.assertIn("both are left as they are", err)
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), lines)
        self.assertEqual(self.decompressed(path + ".zst"), "something else\n")
        self.assertTrue(os.path.exists(other + ".zst"))

    def test_on_a_terminal_a_bar_is_drawn_on_standard_error(self):
        self.segment(1)
        ours, theirs = pty.openpty()
        done = subprocess.run([ANNALS, "archive", self.log], stdout=subprocess.PIPE, stderr=theirs, check=True, timeout=60)
        os.close(theirs)
        drawn = os.read(ours, 65536).decode()
        os.close(ours)
        self.assertIn("[", drawn)
        self.assertIn("segment 1 of 1", drawn)
        self.assertTrue(drawn.endswith("\r\x1b[K"), repr(drawn))
        self.assertIn(b"1 of 1 segments archived", done.stdout)

    def test_what_makes_no_sense_is_refused_before_anything_is_done(self):
        path, _ = self.segment(1)
        for arguments in (["--level", "0"], ["--level", "20"], ["--level", "high"], []):
            file = [self.log] if arguments else []
            self.run_annals("archive", *file, *arguments, code=2)
        _, err = self.run_annals("archive", self.log, "--plugin", "stderr", code=1)
        self.assertIn("offers no archiver", err)
        _, err = self.run_annals("archive", self.log, "--plugin", "no_such_one", code=1)
        self.assertIn("no_such_one", err)
        self.assertTrue(os.path.exists(path))


if __name__ == "__main__":
    main()
