#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Segments that are missing, empty, cut or no files at all: every command that reads a log reports them."""
import glob
import os
import subprocess
import unittest

from command import ANNALS, CommandTest, main

READERS = (("verify",), ("query", "--output", "count"), ("query", "--threads", "3"), ("tail", "-n", "100"), ("cat",), ("segments",))


class Missing(CommandTest):
    def make_log(self):
        self.expected = []
        for number in range(1, 4):
            for part in range(3):
                self.run_annals("log", self.log, "web", f"event{number}{part}")
            self.run_annals("rotate", self.log)
        self.run_annals("log", self.log, "web", "live")

    def segment(self, number):
        return glob.glob(os.path.join(self.directory, f"audit-{number:06}-*"))[0]

    def expect_reported(self, *words, code=4, commands=READERS):
        for command, *options in commands:
            _, err = self.run_annals(command, self.log, *options, code=code)
            for word in words:
                self.assertIn(word, err, command)

    def expect_events(self, count):
        done = subprocess.run([ANNALS, "query", self.log, "--output", "count"], capture_output=True, check=False)
        self.assertEqual(int(done.stdout), count)

    def test_segments_at_the_front_are_reported(self):
        self.make_log()
        os.remove(self.segment(1))
        self.expect_reported("segment 1 is")
        os.remove(self.segment(2))
        self.expect_reported("segments 1 to 2 are")
        os.remove(self.segment(3))
        with open(self.log + ".deleted", "w") as file:
            file.write('{"segment":3,"events":3,"bytes":204,"deleted":"2026-01-01T00:00:00+00:00","reason":"age"}\n')
        self.expect_reported("segments 1 to 3 are")

    def test_segments_that_retention_deleted_at_the_front_are_no_news(self):
        self.make_log()
        self.run_annals("prune", self.log, "--keep-segments", "1", "--yes")
        for command, *options in READERS:
            self.assertEqual(self.run_annals(command, self.log, *options)[1], "", command)

    def test_the_last_events_are_shown_without_a_look_at_the_front(self):
        self.make_log()
        os.remove(self.segment(1))
        self.assertEqual(self.run_annals("tail", self.log, "-n", "2")[1], "")

    def test_empty_segments_are_reported(self):
        for is_archived in (False, True):
            self.make_log()
            if is_archived:
                self.run_annals("archive", self.log)
            with open(self.segment(2), "wb"):
                pass
            self.expect_reported("it is empty, and a closed segment is not")
            self.expect_events(7)
            for name in glob.glob(os.path.join(self.directory, "*")):
                os.remove(name)

    def test_what_is_no_file_is_reported(self):
        self.make_log()
        path = self.segment(2)
        os.rename(path, path + ".away")
        readers = READERS[:-1]
        os.symlink(path + ".away", path)
        self.expect_reported("it is a symbolic link", code=3, commands=readers)
        self.expect_reported("it is a symbolic link", commands=READERS[-1:])
        os.remove(path)
        os.mkdir(path)
        self.expect_reported("it is a directory", code=3, commands=readers)
        self.expect_reported("it is a directory", commands=READERS[-1:])

    def test_of_two_forms_the_whole_one_is_read(self):
        for bytes_left in (0, 1, 100):
            self.make_log()
            self.run_annals("archive", self.log)
            archive = self.segment(2)
            plain = archive[:-len(".zst")]
            subprocess.run(["zstd", "-qdk", archive], check=True)
            os.truncate(plain, bytes_left)
            self.expect_reported(f"is another form of it with only {bytes_left} of ")
            self.expect_events(10)
            subprocess.run(["zstd", "-qdkf", archive], check=True)
            self.assertEqual(self.run_annals("verify", self.log)[1], "")
            with open(plain, "r+b") as file:
                file.seek(50)
                file.write(b"XXXX")
            self.expect_reported("damaged or holds other lines")
            subprocess.run(["zstd", "-qdkf", archive], check=True)
            os.truncate(archive, os.path.getsize(archive) // 2)
            self.expect_reported("and was not read")
            self.expect_events(10)
            for name in glob.glob(os.path.join(self.directory, "*")):
                os.remove(name)

    def test_no_cut_form_replaces_the_whole_one(self):
        self.make_log()
        self.run_annals("archive", self.log)
        archive = self.segment(2)
        subprocess.run(["zstd", "-qdk", archive], check=True)
        os.truncate(archive[:-len(".zst")], 0)
        before = os.path.getsize(archive)
        _, err = self.run_annals("archive", self.log, code=1)
        self.assertIn("both are left as they are", err)
        self.assertEqual(os.path.getsize(archive), before)


if __name__ == "__main__":
    main()
