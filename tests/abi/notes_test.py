#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every function of annals_plugin.h says right above it which threads call it, and who owns what.

usage: notes_test.py HEADER
"""
import re
import sys
import unittest
from pathlib import Path

HEADER = Path(sys.argv[1]).read_text()
FUNCTION = re.compile(r"/\*((?:(?!\*/).)*)\*/\s*\w+ \(\*(\w+)\)\(", re.S)


def lacking(header):
    """(place, function): which of the two notes is not there. Functions of the two tables have the same names."""
    found = {}
    for match in FUNCTION.finditer(header):
        comment, name = match.groups()
        has = {"threads": re.match(r" \[(any|object|call)\]", comment), "ownership": re.search(r"^\s*\* Owned: \S", comment, re.M)}
        found[match.start(2), name] = [note for note, there in has.items() if not there]
    return found


class notes(unittest.TestCase):
    def test_of_threads_and_ownership_stand_above_every_function(self):
        found = lacking(HEADER)
        self.assertEqual([name for _, name in found], re.findall(r"\(\*(\w+)\)\(", HEADER))
        self.assertGreaterEqual({name for _, name in found}, {"notice", "create", "write", "sync", "reopen", "position", "start_segment",
                                                              "archive", "destroy", "last_error"})
        self.assertEqual({name: notes for name, notes in found.items() if notes}, {})

    def test_that_are_missing_are_seen(self):
        for note, pattern in (("threads", r"/\* \[\w+\]"), ("ownership", r"Owned:")):
            places = list(re.finditer(pattern, HEADER))
            self.assertEqual(len(places), len(lacking(HEADER)), note)
            for place in places:
                without = HEADER[:place.start()] + "/*" * (note == "threads") + HEADER[place.end():]
                self.assertEqual([notes for notes in lacking(without).values() if notes], [[note]])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
