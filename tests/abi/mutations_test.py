#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""That the guard of the ABI sees what it is there for: copies of the header with one thing changed.

usage: mutations_test.py HEADER COMPILER GOLDEN_DIRECTORY
"""
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HEADER, COMPILER, GOLDENS = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
GUARD = Path(__file__).with_name("check_abi.py")

MINOR = ("#define ANNALS_PLUGIN_ABI_MINOR 0", "#define ANNALS_PLUGIN_ABI_MINOR 1")
MAJOR = ("#define ANNALS_PLUGIN_ABI_MAJOR 2", "#define ANNALS_PLUGIN_ABI_MAJOR 3")
INSERTED = ("  uint64_t bytes;\n", "  uint64_t inserted;\n  uint64_t bytes;\n")
WIDENED = ("int32_t code;         /*", "int64_t code;         /*")
CONSTANT = ("#define ANNALS_ERROR_IO 2 ", "#define ANNALS_ERROR_IO 9 ")
TEXT = ('#define ANNALS_PLUGIN_SECTION ".annals.plugin"', '#define ANNALS_PLUGIN_SECTION ".annals.plugins"')
STATUS = ("typedef int32_t annals_status;", "typedef int64_t annals_status;")
MAGIC = ("'P', 'L'}", "'P', 'M'}")
SIGNATURE = ("(*reopen)(annals_sink* sink)", "(*reopen)(const annals_sink* sink)")
APPENDED = ("annals_sink* sink, annals_error* error);\n}", "annals_sink* sink, annals_error* error);\n  void (*flush)(void);\n}")
APPENDED_FIELD = ("may step back */\n}", "may step back */\n  uint64_t added;\n}")
REMOVED = ("  uint64_t number;\n} annals_segment;", "} annals_segment;")
SWAPPED = ("  uint64_t segment;\n  uint64_t offset;", "  uint64_t offset;\n  uint64_t segment;")
IN_RESERVED = ("  uint64_t reserved[8];     /* 0 */", "  uint64_t added;\n  uint64_t reserved2[7];")
UNSIZED_GREW = ("  uint64_t offset;\n} annals_position;", "  uint64_t offset;\n  uint64_t added;\n} annals_position;")


class guard(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.goldens = Path(self.directory.name, "goldens")
        shutil.copytree(GOLDENS, self.goldens, ignore=shutil.ignore_patterns("*.py"))

    def header(self, *changes):
        text = HEADER.read_text()
        for before, after in changes:
            self.assertEqual(text.count(before), 1, f"the header has changed: expected one {before!r}")
            text = text.replace(before, after)
        path = Path(self.directory.name, "annals_plugin.h")
        path.write_text(text)
        return path

    def run_guard(self, header, *more):
        done = subprocess.run([sys.executable, GUARD, header, COMPILER, self.goldens, *more], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def add_golden(self, header, version):
        status, text = self.run_guard(header, "--print")
        self.assertEqual(status, 0, text)
        (self.goldens / f"abi-{version}.txt").write_text(text)

    def refused(self, header, *expected):
        status, text = self.run_guard(header)
        self.assertEqual(status, 1, text)
        for one in expected:
            self.assertIn(one, text)

    def test_passes_the_header_as_it_is(self):
        status, text = self.run_guard(self.header())
        self.assertEqual((status, text), (0, ""))

    def test_refuses_every_change_without_a_new_version(self):
        for change in (INSERTED, WIDENED, CONSTANT, TEXT, STATUS, MAGIC, SIGNATURE, APPENDED, APPENDED_FIELD, REMOVED, SWAPPED,
                       IN_RESERVED, UNSIZED_GREW):
            with self.subTest(change=change[1]):
                self.refused(self.header(change), "calls itself 2.0", "Set ANNALS_PLUGIN_ABI_MINOR to 1",
                             "set ANNALS_PLUGIN_ABI_MAJOR to 3")

    def test_refuses_a_new_version_without_a_golden_file(self):
        self.refused(self.header(APPENDED, MINOR), "there is no", "abi-2.1.txt", "--print")

    def test_passes_what_a_minor_version_may_append(self):
        for changes in ([APPENDED], [APPENDED_FIELD], [IN_RESERVED], [APPENDED, APPENDED_FIELD, IN_RESERVED]):
            with self.subTest(changes=[c[1] for c in changes]):
                header = self.header(*changes, MINOR)
                self.add_golden(header, "2.1")
                self.assertEqual(self.run_guard(header), (0, ""))

    def test_refuses_a_minor_version_that_does_more_than_append(self):
        for change in (INSERTED, WIDENED, CONSTANT, TEXT, STATUS, MAGIC, SIGNATURE, REMOVED, SWAPPED, UNSIZED_GREW):
            with self.subTest(change=change[1]):
                header = self.header(change, MINOR)
                self.add_golden(header, "2.1")
                self.refused(header, "abi-2.1.txt breaks abi-2.0.txt")

    def test_passes_a_major_version_that_changes_everything(self):
        header = self.header(INSERTED, WIDENED, CONSTANT, REMOVED, MAJOR)
        self.add_golden(header, "3.0")
        self.assertEqual(self.run_guard(header), (0, ""))

    def test_refuses_a_golden_file_that_was_edited(self):
        golden = self.goldens / "abi-2.0.txt"
        golden.write_text(golden.read_text().replace("constant ANNALS_FAILED 1", "constant ANNALS_FAILED 3"))
        self.refused(self.header(), "ANNALS_FAILED")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
