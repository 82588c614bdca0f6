#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""annals segments, prune, hold and adopt, as a process; and a sink that keeps its log within limits."""
import glob
import gzip
import json
import os
import pty
import subprocess
import sys
import unittest

from command import ANNALS, CommandTest, main

PLUGINS = os.path.abspath(sys.argv[2])


class MaintenanceTest(CommandTest):
    def path(self, name):
        return os.path.join(self.directory, name)

    def lines_of(self, day, count=3):
        return "".join(f'{{"ts":"2020-01-{day:02}T09:00:0{i}+00:00","container":"web","action":"denied"}}\n' for i in range(count))

    def make_log(self, segments=4):
        for number in range(1, segments + 1):
            name = self.path(f"audit-{number:06}-202001{number:02}T090000Z.jsonl")
            with open(name, "w") as file:
                file.write(self.lines_of(number))
            written = 1577836800 + 86400 * number  # a day each, from 2020-01-01 on
            os.utime(name, (written, written))
            if number == 2:
                subprocess.run(["zstd", "-q", "--rm", name], check=True)
        self.write(self.lines_of(segments + 1, 2).encode())

    def segments(self):
        return sorted(int(os.path.basename(f)[6:12]) for f in glob.glob(self.path("audit-0*")))

    def events(self, action):
        return [e for e in map(json.loads, self.lines()) if e["action"] == action]


class Segments(MaintenanceTest):
    def test_are_columns_for_people(self):
        self.make_log()
        out, err = self.run_annals("segments", self.log)
        self.assertIn("3 closed segments are not archived yet", err)
        rows = [line.split() for line in out.splitlines()]
        self.assertEqual(rows[0][:4], ["SEGMENT", "STATE", "EVENTS", "BYTES"])
        self.assertEqual(rows[1][:3], ["1", "closed", "3"])
        self.assertEqual(rows[2][:3], ["2", "compressed", "3"])
        self.assertEqual(rows[5][:3], ["5", "live", "2"])
        self.assertEqual(rows[1][5:7], ["2020-01-01T09:00:00+00:00", "2020-01-01T09:00:02+00:00"])

    def test_are_objects_for_programs(self):
        self.make_log()
        self.run_annals("hold", "add", self.log, "case-17", "--from", "2020-01-02", "--to", "2020-01-02")
        out, _ = self.run_annals("segments", self.log, "--output", "json")
        found = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([s["segment"] for s in found], [1, 2, 3, 4, 5])
        self.assertEqual([s["state"] for s in found], ["closed", "compressed", "closed", "closed", "live"])
        self.assertEqual([s["held_by"] for s in found], [[], ["case-17"], [], [], []])
        self.assertEqual(found[1]["bytes"], len(self.lines_of(2)))
        self.assertEqual(found[1]["bytes_on_disk"], os.path.getsize(found[1]["path"]))
        self.assertAlmostEqual(found[1]["ratio"], found[1]["bytes"] / found[1]["bytes_on_disk"], delta=0.01)
        self.assertEqual(found[0]["last"], "2020-01-01T09:00:02+00:00")

    def test_are_held_to_the_end_of_the_day_that_a_hold_ends_with(self):
        self.make_log()
        for day in ("yesterday", "today", "2026-01-31"):
            self.run_annals("hold", "add", self.log, day, "--to", day)
        for one in map(json.loads, self.run_annals("hold", "list", self.log, "--output", "json")[0].splitlines()):
            self.assertTrue(one["to"].endswith("T23:59:59+00:00"), one)

    def test_of_a_damaged_log_say_so(self):
        self.make_log()
        name = self.path("audit-000002-20200102T090000Z.jsonl.zst")
        with open(name, "r+b") as file:
            file.truncate(os.path.getsize(name) - 8)
        out, err = self.run_annals("segments", self.log, code=4)
        self.assertIn("compressed, damaged", out)
        self.assertIn("damaged: ", err)

    def test_of_no_log_are_an_error(self):
        _, err = self.run_annals("segments", self.log, code=3)
        self.assertIn("there is no log at", err)


class NamesOfOtherFiles(MaintenanceTest):
    def test_are_refused_wherever_a_log_is_named(self):
        self.make_log()
        closed = [name for name in os.listdir(self.directory) if name.startswith("audit-")]
        for suffix in (".lock", ".deleted", ".holds", ".ring", ".journal"):
            with open(self.log + suffix, "ab"):
                pass
            closed.append("audit.jsonl" + suffix)
        with open(self.path("other.jsonl.zst"), "wb") as file:
            file.write(b"\x28\xb5\x2f\xfd")
        with open(self.path("rotated.1"), "wb") as file:
            file.write(b'{"ts":"2019-01-01T00:00:00Z"}\n')
        before = {name: self.content(name) for name in sorted(os.listdir(self.directory))}
        for name in [*closed, "other.jsonl.zst"]:
            path = self.path(name)
            for arguments in (("log", path, "web", "x"), ("rotate", path), ("hold", "add", path, "case"), ("hold", "list", path),
                              ("hold", "remove", path, "case"), ("prune", path, "--keep-segments", "1", "--yes"),
                              ("prune", path, "--keep-segments", "1", "--dry-run"), ("archive", path), ("segments", path),
                              ("adopt", path, self.path("rotated.1"), "--yes"), ("recover", path)):
                _, err = self.run_annals(*arguments, code=1)
                self.assertIn("as a log: it is", err, arguments)
                if name.startswith("audit"):
                    self.assertIn(f"'{self.log}'", err)
            self.assertEqual({name: self.content(name) for name in sorted(os.listdir(self.directory))}, before, name)

    def content(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()


class Prune(MaintenanceTest):
    def test_tells_what_it_would_do_and_then_does_it(self):
        self.make_log()
        before = self.lines()
        out, _ = self.run_annals("prune", self.log, "--keep-segments", "2", "--dry-run")
        self.assertEqual(len(out.splitlines()), 2)
        self.assertRegex(out, r"would delete segment 1, .*: there are 4 closed segments, more than 2")
        self.assertEqual(self.segments(), [1, 2, 3, 4])
        self.assertEqual(self.lines(), before)
        out, _ = self.run_annals("prune", self.log, "--keep-segments", "2", "--yes")
        self.assertRegex(out, r"deleted segment 2, .*, 3 events")
        self.assertEqual(self.segments(), [3, 4])
        told = self.events("segment_deleted")
        self.assertEqual([(e["segment"], e["events"], e["reason"], e["program"]) for e in told],
                         [(1, 3, "segments", "annals"), (2, 3, "segments", "annals")])
        with open(self.log + ".deleted") as file:
            records = [json.loads(line) for line in file]
        self.assertEqual([r["segment"] for r in records if "segment" in r], [1, 2])
        out, err = self.run_annals("prune", self.log, "--keep-segments", "2", "--dry-run")
        self.assertEqual((out, err), ("", "annals: nothing would be deleted\n"))

    def test_of_what_an_earlier_run_recorded_is_shown_by_a_dry_run(self):
        self.make_log()
        self.run_annals("prune", self.log, "--keep-segments", "3", "--yes")
        name = self.path("audit-000001-20200101T090000Z.jsonl")
        with open(name, "w") as file:  # as a backup brings it back
            file.write(self.lines_of(1))
        out, err = self.run_annals("prune", self.log, "--keep-for", "100y", "--dry-run")
        self.assertRegex(out, r"would delete segment 1, .*: an earlier run recorded it as deleted and did not remove it")
        with open(name, "w") as file:
            file.write(self.lines_of(7))
        out, err = self.run_annals("prune", self.log, "--keep-for", "100y", "--dry-run", code=1)
        self.assertEqual(out, "")
        self.assertIn("segment 1 is recorded as deleted, but its file holds other lines", err)
        out, err = self.run_annals("prune", self.log, "--keep-for", "100y", "--yes", code=1)
        self.assertIn("segment 1 is recorded as deleted, but its file holds other lines", err)
        self.assertEqual(self.segments(), [1, 2, 3, 4])

    def test_never_takes_the_number_of_a_deleted_segment_for_a_new_one(self):
        for action in ("old1", "old2", "old3", "old4"):
            self.run_annals("log", self.log, "web", action)
            self.run_annals("rotate", self.log)
        self.run_annals("prune", self.log, "--keep-segments", "1", "--yes")
        for name in glob.glob(self.path("audit-*")) + [self.log, self.log + ".lock"]:
            os.remove(name)
        for action in ("new1", "new2", "new3"):
            self.run_annals("log", self.log, "web", action)
            self.run_annals("rotate", self.log)
        self.assertEqual(self.segments(), [5, 6, 7])
        out, err = self.run_annals("prune", self.log, "--keep-for", "100y", "--yes")
        self.assertEqual((out, err), ("", ""))
        self.assertEqual(self.segments(), [5, 6, 7])

    def test_believes_the_clock_of_the_writer_and_no_times_of_clients(self):
        events = b'{"ts":"1970-01-01T00:00:00Z","container":"web","action":"old"}\n{"container":"web","action":"new"}\n'
        for _ in range(2):
            self.run_annals("log", self.log, "--jsonl", stdin=events)
            self.run_annals("rotate", self.log)
        self.run_annals("log", self.log, "--jsonl", stdin=events[:events.index(b"\n") + 1])
        self.run_annals("rotate", self.log)
        self.run_annals("log", self.log, "web", "new")
        self.run_annals("rotate", self.log)
        self.run_annals("prune", self.log, "--keep-for", "1y", "--yes")
        self.assertEqual(self.segments(), [1, 2, 3, 4])

    def test_by_age_and_says_what_is_not_met(self):
        self.make_log()
        out, err = self.run_annals("prune", self.log, "--keep-for", "1y", "--yes", code=1)
        self.assertEqual(len(out.splitlines()), 3)
        self.assertIn("not met: keep_for 1y: 1 older segment stays: 4 is the last closed one", err)

    def test_deletes_nothing_younger_than_keep_for(self):
        for action in ("a", "b", "c"):
            self.run_annals("log", self.log, "web", action)
            self.run_annals("rotate", self.log)
        for limit in (("--keep-segments", "1"), ("--keep-bytes", "1"), ("--keep-free", "100%")):
            out, err = self.run_annals("prune", self.log, "--keep-for", "7y", *limit, "--yes", code=1)
            self.assertEqual(out, "")
            self.assertIn("2 segments are not older than keep_for 7y", err)
        self.assertEqual(self.segments(), [1, 2, 3])
        self.run_annals("prune", self.log, "--keep-for", "7y", "--keep-segments", "1", "--allow-younger", "--yes")
        self.assertEqual(self.segments(), [3])

    def test_needs_yes_where_nobody_can_be_asked(self):
        self.make_log()
        out, err = self.run_annals("prune", self.log, "--keep-segments", "2", code=1)
        self.assertEqual(len(out.splitlines()), 2)
        self.assertIn("nothing was deleted; --yes deletes 2 segments", err)
        self.assertEqual(self.segments(), [1, 2, 3, 4])
        self.assertIn("nothing is to be deleted", self.run_annals("prune", self.log, "--keep-segments", "4")[1])

    def test_asks_on_a_terminal(self):
        self.make_log()
        for answer, code, left in ((b"n\n", 1, [1, 2, 3, 4]), (b"\n", 1, [1, 2, 3, 4]), (b"y\n", 0, [3, 4])):
            ours, theirs = pty.openpty()
            os.write(ours, answer)
            done = subprocess.run([ANNALS, "prune", self.log, "--keep-segments", "2"], stdin=theirs, capture_output=True, timeout=60)
            os.close(ours)
            os.close(theirs)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(b"Delete 2 segments for ever? [y/N] ", done.stderr)
            self.assertEqual(self.segments(), left)

    def test_takes_its_limits_from_a_configuration(self):
        self.make_log()
        config = self.path("annals.json")
        with open(config, "w") as file:
            json.dump({"path": "audit.jsonl", "sink": {"type": "rotate", "size": "1MiB", "keep_segments": 3}}, file)
        self.run_annals("prune", "--config", config, "--yes")
        self.assertEqual(self.segments(), [2, 3, 4])
        with open(config, "w") as file:
            json.dump({"path": "audit.jsonl", "sink": {"type": "rotate", "keep_for": "long", "keep_free": 7}}, file)
        _, err = self.run_annals("prune", "--config", config, "--yes", code=1)
        self.assertIn("$.sink.keep_for", err)
        self.assertIn("$.sink.keep_free", err)
        with open(config, "w") as file:
            json.dump({"path": "audit.jsonl", "sink": {"type": "rotate"}}, file)
        _, err = self.run_annals("prune", "--config", config, "--yes", code=1)
        self.assertIn("none of keep_for", err)
        self.assertEqual(self.segments(), [2, 3, 4])

    def test_wants_limits_that_make_sense(self):
        self.make_log()
        for arguments in ([], ["--keep-for", "long"], ["--keep-segments", "0"], ["--keep-segments", "1KiB"], ["--keep-free", "101%"],
                          ["--keep-bytes", "-1"]):
            _, err = self.run_annals("prune", self.log, *arguments, code=2)
            self.assertNotEqual(err, "")
        self.assertEqual(self.segments(), [1, 2, 3, 4])

    def test_leaves_a_hold_alone(self):
        self.make_log()
        self.run_annals("hold", "add", self.log, "all of it")
        out, err = self.run_annals("prune", self.log, "--keep-segments", "1", "--yes", code=1)
        self.assertEqual(out, "")
        self.assertIn("4 segments are held (all of it)", err)
        self.assertEqual(self.segments(), [1, 2, 3, 4])


class BlockedRetention(MaintenanceTest):
    def test_is_shown_by_every_command_that_keeps_a_log(self):
        self.make_log()
        self.run_annals("log", self.log, "web", "x")
        os.mkdir(self.log + ".deleted")
        for command in (("prune", self.log, "--keep-segments", "1", "--yes"), ("segments", self.log), ("hold", "add", self.log, "a"),
                        ("hold", "list", self.log), ("hold", "remove", self.log, "a"), ("log", self.log, "web", "y")):
            _, err = self.run_annals(*command, code=3)
            self.assertIn("audit.jsonl.deleted", err, command)
        self.assertEqual(self.segments(), [1, 2, 3, 4])

    def test_is_not_a_matter_of_those_who_only_read(self):
        if os.geteuid() != 0:
            self.skipTest("NOT TESTED: only root can become another user: run this test as root")
        self.make_log()
        os.mkdir(self.log + ".deleted", 0o700)
        os.chmod(self.directory, 0o755)
        for name in os.listdir(self.directory):
            os.chmod(self.path(name), 0o755 if name.endswith("deleted") else 0o644)
        done = subprocess.run([ANNALS, "segments", self.log], user=1234, group=1234, extra_groups=[], capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (0, b"annals: 3 closed segments are not archived yet; the next process that logs with an "
                                                             b"archiver does it, or `annals archive`\n"))


class Holds(MaintenanceTest):
    def test_are_added_listed_and_removed(self):
        self.make_log()
        self.run_annals("hold", "add", self.log, "case-17", "--from", "2020-01-02", "--to", "2020-01-03T12:00:00+02:00")
        self.run_annals("hold", "add", self.log, "all")
        out, _ = self.run_annals("hold", "list", self.log)
        self.assertRegex(out, r"case-17: from 2020-01-02T00:00:00\+00:00 to 2020-01-03T10:00:00\+00:00; added .* by \S+ \(\d+\)\nall: everything; ")
        out, _ = self.run_annals("hold", "list", self.log, "--output", "json")
        self.assertEqual([json.loads(line)["name"] for line in out.splitlines()], ["case-17", "all"])
        self.run_annals("hold", "remove", self.log, "all")
        _, err = self.run_annals("hold", "remove", self.log, "all", code=1)
        self.assertIn("it has case-17", err)
        _, err = self.run_annals("hold", "add", self.log, "case-17", code=1)
        self.assertIn("there is one of that name", err)
        self.run_annals("hold", "add", self.log, "x", "--from", "noon", code=2)
        self.assertEqual(len(self.events("hold_added")), 2)
        self.assertEqual(len(self.events("hold_removed")), 1)

    def test_that_cannot_be_read_stop_everything(self):
        self.make_log()
        with open(self.log + ".holds", "w") as file:
            file.write("{")
        for command in (["prune", self.log, "--keep-segments", "1", "--yes"], ["hold", "list", self.log], ["segments", self.log]):
            _, err = self.run_annals(*command, code=1)
            self.assertIn("nothing of this log is deleted", err)
        self.assertEqual(self.segments(), [1, 2, 3, 4])

    def test_cannot_be_named_so_that_a_terminal_obeys(self):
        self.run_annals("hold", "add", self.log, "\x1b[31mred", code=1)
        self.run_annals("hold", "add", self.log, "a\u202eb")
        out, _ = self.run_annals("hold", "list", self.log)
        self.assertIn("a\\u202eb", out)


class Adopt(MaintenanceTest):
    def test_tells_what_it_would_do_and_then_does_it(self):
        names = ["audit.jsonl.1", "audit.jsonl-20200101", "audit.jsonl.2"]
        for name, day in zip(names, (3, 1, 2)):
            with open(self.path(name), "w") as file:
                file.write(self.lines_of(day))
        subprocess.run(["zstd", "-q", "--rm", self.path("audit.jsonl.2")], check=True)
        files = [self.path(n) for n in ("audit.jsonl.1", "audit.jsonl-20200101", "audit.jsonl.2.zst")]
        self.write(self.lines_of(4).encode())
        out, err = self.run_annals("adopt", self.log, *files)
        self.assertIn("--yes does it", err)
        self.assertEqual(self.segments(), [])
        done, _ = self.run_annals("adopt", self.log, *files, "--yes")
        self.assertEqual(done, out.replace("would rename", "renamed"))
        self.assertEqual(sorted(os.path.basename(f) for f in glob.glob(self.path("audit-*"))),
                         ["audit-000001-20200101T090000Z.jsonl", "audit-000002-20200102T090000Z.jsonl.zst",
                          "audit-000003-20200103T090000Z.jsonl"])
        self.assertEqual(len(self.events("segment_adopted")), 3)

    def test_leaves_the_files_of_the_log_itself_alone(self):
        self.run_annals("log", self.log, "web", "new")
        self.run_annals("hold", "add", self.log, "case")
        with open(self.path("audit.jsonl.1"), "w") as file:
            file.write(self.lines_of(1))
        files = glob.glob(self.path("audit.jsonl.*"))
        self.assertIn(self.log + ".holds", files)
        out, err = self.run_annals("adopt", self.log, *files, "--yes")
        self.assertEqual(len(out.splitlines()), 1)
        self.assertIn("audit.jsonl.holds' belongs to the log and is left alone", err)
        self.assertIn("case", self.run_annals("hold", "list", self.log)[0])
        self.assertEqual(self.segments(), [1])
        _, err = self.run_annals("adopt", self.log, self.log + ".holds", "--yes", code=1)
        self.assertIn("there is no file to adopt", err)

    def test_converts_no_gzip_but_says_how(self):
        name = self.path("audit.jsonl.1.gz")
        with gzip.open(name, "wt") as file:
            file.write(self.lines_of(1))
        _, err = self.run_annals("adopt", self.log, name, "--yes", code=1)
        command = err[err.index("zcat"):].strip()
        subprocess.run(["sh", "-c", command], check=True, capture_output=True)
        self.run_annals("adopt", self.log, self.path("audit.jsonl.1.zst"), "--yes")
        self.assertEqual(self.segments(), [1])


class RotateSink(MaintenanceTest):
    def configure(self, **sink):
        config = self.path("annals.json")
        with open(config, "w") as file:
            json.dump({"path": "audit.jsonl", "plugin_directories": [PLUGINS], "sink": {"type": "rotate", **sink}}, file)
        return config

    def test_keeps_its_log_within_the_limits(self):
        config = self.configure(size="64KiB", keep_segments=3)
        count = 20000
        events = "".join(f'{{"container":"web","action":"denied","n":{n}}}\n' for n in range(count)).encode()
        self.run_annals("log", "--config", config, "--jsonl", stdin=events)
        # What is closed while an earlier deletion is under way waits for the next occasion: here, the next process.
        self.run_annals("prune", "--config", config, "--yes")
        self.assertEqual(len(self.segments()), 3)
        first = self.segments()[0]
        with open(self.log + ".deleted") as file:
            records = [r for r in map(json.loads, file) if "segment" in r]
        self.assertEqual([r["segment"] for r in records], list(range(1, first)))
        kept = b""
        for name in sorted(glob.glob(self.path("audit-0*"))):
            with open(name, "rb") as file:
                kept += file.read()
        kept += b"".join(line + b"\n" for line in self.lines())
        told = sum(1 for line in kept.splitlines() if b'"action":"denied"' in line)
        # Every event is there, or counted in the record of a deleted segment; those segments held events of deletions, too.
        deleted = sum(r["events"] for r in records)
        deletions = sum(1 for line in kept.splitlines() if b'"action":"segment_deleted"' in line)
        self.assertEqual(told + deleted, count + (len(records) - deletions))

    def test_refuses_events_before_the_disk_is_full(self):
        config = self.configure(pressure={"refuse": "100%"})
        _, err = self.run_annals("log", "--config", config, "web", "denied", code=1)
        self.assertIn("is nearly full", err)
        self.assertIn("events are refused until there is room", err)

    def configure_archiver(self):
        config = self.path("annals.json")
        with open(config, "w") as file:
            json.dump({"path": "audit.jsonl", "plugin_directories": [PLUGINS], "sink": {"type": "rotate", "size": "1KiB"},
                       "archive": {"type": "zstd"}}, file)
        return config

    def test_archives_what_a_short_process_closed_before_it_ends(self):
        config = self.configure_archiver()
        _, err = self.run_annals("log", "--config", config, "--jsonl", stdin=b'{"container":"web","action":"denied"}\n' * 200)
        self.assertEqual(err, "")
        self.assertEqual(glob.glob(self.path("audit-*.jsonl")), [])
        self.assertGreater(len(glob.glob(self.path("audit-*.jsonl.zst"))), 5)

    def test_archives_what_earlier_processes_closed(self):
        config = self.configure_archiver()
        for action in ("a", "b"):
            self.run_annals("log", self.log, "web", action)
            self.run_annals("rotate", self.log)
        self.run_annals("log", "--config", config, "web", "c")
        self.assertEqual(glob.glob(self.path("audit-*.jsonl")), [])

    def test_whose_archiving_fails_is_reported_with_the_exit_code(self):
        config = self.configure_archiver()
        self.run_annals("log", self.log, "web", "a")
        closed = self.run_annals("rotate", self.log)[0].strip()
        os.mkdir(closed + ".zst")
        _, err = self.run_annals("log", "--config", config, "web", "b", code=3)
        self.assertIn(closed + ".zst", err)
        self.assertIn("1 closed segment of", err)

    def test_prints_few_of_many_refusals(self):
        config = self.configure(pressure={"refuse": "100%"})
        events = b'{"container":"web","action":"denied"}\n' * 5000
        _, err = self.run_annals("log", "--config", config, "--jsonl", stdin=events, code=1)
        self.assertLess(len(err.splitlines()), 40)
        self.assertIn("0 events logged, 5000 lines refused", err)

    def test_whose_rotation_fails_is_reported_with_the_exit_code(self):
        log = self.path("mounted.jsonl")  # rename(2) of a mount point fails: EBUSY
        config = self.path("annals.json")
        with open(config, "w") as file:
            json.dump({"path": log, "plugin_directories": [PLUGINS], "sink": {"type": "rotate", "size": "1KiB"}}, file)
        with open(log, "wb"):
            pass
        mounted = ["unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$1" && shift && exec "$@"', "sh", log]
        if subprocess.run([*mounted, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("NOT TESTED: only root may mount a file over itself (mount(2)): run this test as root")
        events = b'{"container":"web","action":"denied"}\n' * 50
        done = subprocess.run([*mounted, ANNALS, "log", "--config", config, "--jsonl"], input=events, capture_output=True, timeout=60, check=False)
        err = done.stderr.decode()
        self.assertEqual(done.returncode, 3, err)
        self.assertIn("cannot rotate", err)
        self.assertIn("busy", err)

    def test_checks_its_options(self):
        config = self.configure(keep_for="soon", pressure={"warn": "1%", "refuse": "2%"}, keep_segments=0)
        _, err = self.run_annals("config", "check", config, code=1)
        for name in ("$.sink.keep_for", "$.sink.pressure", "$.sink.keep_segments"):
            self.assertIn(name, err)


if __name__ == "__main__":
    main()
