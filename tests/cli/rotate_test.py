#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""annals rotate, as a process; and the sink rotate as a plugin, named by a configuration."""
import glob
import json
import os
import sys

from command import CommandTest, main

PLUGINS = os.path.abspath(sys.argv[2])


class Rotate(CommandTest):
    def closed(self):
        return sorted(glob.glob(os.path.join(self.directory, "audit-0*")))

    def test_closes_the_live_segment_and_prints_its_path(self):
        self.run_annals("log", self.log, "web", "denied")
        before = self.lines()
        os.chmod(self.log, 0o640)
        out, err = self.run_annals("rotate", self.log)
        self.assertEqual(out, self.closed()[0] + "\n")
        self.assertEqual(err, "")
        with open(self.closed()[0], "rb") as file:
            self.assertEqual(file.read().splitlines(), before)
        self.assertEqual(self.lines(), [])
        self.assertEqual(os.stat(self.log).st_mode & 0o7777, 0o640)
        self.run_annals("log", self.log, "web", "allowed")
        self.run_annals("rotate", self.log)
        self.assertEqual([os.path.basename(f)[:13] for f in self.closed()], ["audit-000001-", "audit-000002-"])

    def test_leaves_an_empty_or_missing_log_as_it_is(self):
        out, err = self.run_annals("rotate", self.log)
        self.assertEqual(out, "")
        self.assertIn("nothing to close", err)
        self.assertEqual(os.listdir(self.directory), [])
        self.write(b"")
        self.assertIn("nothing to close", self.run_annals("rotate", self.log)[1])
        self.assertEqual(self.closed(), [])

    def test_says_what_is_wrong(self):
        os.mkdir(self.log)
        self.assertIn("it is a directory", self.run_annals("rotate", self.log, code=3)[1])
        self.run_annals("rotate", code=2)
        self.run_annals("rotate", self.log, "another", code=2)


class RotateSink(CommandTest):
    def configure(self, **sink):
        self.config = os.path.join(self.directory, "annals.json")
        with open(self.config, "w") as file:
            json.dump({"path": "audit.jsonl", "plugin_directories": [PLUGINS], "sink": {"type": "rotate", **sink}}, file)

    def test_rotates_by_size_across_processes(self):
        self.configure(size="1KiB")
        for batch in range(4):
            events = "".join(json.dumps({"container": "web", "action": f"a{batch}", "n": i}) + "\n" for i in range(30))
            self.run_annals("log", "--config", self.config, "--jsonl", stdin=events.encode())
        segments = sorted(glob.glob(os.path.join(self.directory, "audit-0*"))) + [self.log]
        self.assertGreater(len(segments), 5)
        for number, segment in enumerate(segments[:-1], 1):
            self.assertTrue(os.path.basename(segment).startswith(f"audit-{number:06}-"))
        found = []
        for segment in segments:
            self.assertLessEqual(os.path.getsize(segment), 1024)
            with open(segment) as file:
                found += [(e["action"], e["n"]) for e in map(json.loads, file)]
        self.assertEqual(found, [(f"a{batch}", i) for batch in range(4) for i in range(30)])

    def test_tells_all_options_that_make_no_sense(self):
        self.configure(size=3, interval="soon", align="week", zone="Moon/Crater", siez="1MiB")
        _, err = self.run_annals("config", "check", self.config, code=1)
        for name in ("$.sink.size", "$.sink.interval", "$.sink.align", "$.sink.zone", "$.sink.siez"):
            self.assertIn(name, err)

    def test_needs_a_path(self):
        self.configure()
        with open(self.config) as file:
            config = json.load(file)
        del config["path"]
        with open(self.config, "w") as file:
            json.dump(config, file)
        self.assertIn("path", self.run_annals("config", "check", self.config, code=1)[1])


if __name__ == "__main__":
    main()
