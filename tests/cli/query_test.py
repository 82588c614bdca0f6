#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""annals query and annals cat."""
import csv
import datetime
import gzip
import io
import json
import os
import subprocess
import unittest

from command import ANNALS, CommandTest, main

UTC = datetime.timezone.utc


def line(ts, container="web", action="denied", **more):
    return json.dumps({"ts": ts, "container": container, "action": action, **more}, separators=(",", ":"))


class Query(CommandTest):
    def log_of(self, *lines):
        self.write("".join(text + "\n" for text in lines).encode())
        return lines

    def query(self, *arguments, **environment):
        out, err = self.run_annals("query", self.log, *arguments, **environment)
        self.assertEqual(err, "")
        return out.splitlines()

    def test_times_as_people_write_them(self):
        now = datetime.datetime.now(UTC).replace(microsecond=0)
        midnight = now.replace(hour=0, minute=0, second=0)
        times = [midnight - datetime.timedelta(days=2), midnight - datetime.timedelta(days=1), midnight, now]
        lines = self.log_of(*(line(t.isoformat()) for t in times))
        self.assertEqual(self.query("--since", "yesterday"), list(lines[1:]))
        self.assertEqual(self.query("--since", "yesterday", "--until", "today"), [lines[1]])
        self.assertEqual(self.query("--until", "yesterday"), [lines[0]])
        self.assertIn(lines[3], self.query("--since", "-1m"))
        self.assertEqual(self.query("--since", "-3d12h"), list(lines))
        self.assertEqual(self.query("--since", str(midnight.date()), "--until", (midnight + datetime.timedelta(days=2)).isoformat()),
                         list(lines[2:]))

    def test_zones(self):
        lines = self.log_of(line("2026-07-01T11:30:00+00:00"), line("2026-07-01T13:30:00+00:00"))
        for since in ("2026-07-01T13:00", "2026-07-01 13:00:00", "2026-07-01T15:00:00+02:00", "2026-07-01T13:00:00.000Z"):
            self.assertEqual(self.query("--since", since), [lines[1]], since)
        self.assertEqual(self.query("--since", "2026-07-01T15:00", "--local", TZ="Europe/Berlin"), [lines[1]])
        self.assertEqual(self.query("--since", "2026-07-01T12:30", "--local", TZ="UTC+0"), [lines[1]])

    def test_filters(self):
        lines = self.log_of(line("2026-01-01T00:00:00+00:00", dest="203.0.113.7:443"), line("2026-01-01T00:00:01+00:00", "mail", "allowed"),
                            line("2026-01-01T00:00:02+00:00", dest="203.0.113.70:443", detail="m\u00fcnchen"))
        self.assertEqual(self.query("--dest", "203.0.113.7:443"), [lines[0]])
        self.assertEqual(self.query("--dest", "203.0.113.7*"), [lines[0], lines[2]])
        self.assertEqual(self.query("--dest", "203.0.113.7"), [])
        self.assertEqual(self.query("--container", "ma*", "--action", "allowed"), [lines[1]])
        self.assertEqual(self.query("--contains", "m\u00fcnchen"), [lines[2]])
        self.assertEqual(self.query("--action", "denied", "--output", "count"), ["2"])
        self.assertEqual(self.query("--action", "denied", "--output", "count", "--threads", "3"), ["2"])

    def test_csv_is_read_back_by_others_and_runs_no_formula(self):
        values = ["a,b", 'say "x"', "two\nlines", "=1+1", "@x", "-2", "+3", "\ttab", "plain"]
        self.log_of(*(line("2026-01-01T00:00:00+00:00", detail=value, n=1, s="t") for value in values))
        done = subprocess.run([ANNALS, "query", self.log, "--output", "csv"], capture_output=True, check=True)
        rows = list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))
        self.assertEqual(rows[0], ["ts", "container", "action", "dest", "detail", "fields"])
        self.assertEqual([row[4].removeprefix("'") for row in rows[1:]], values)
        for row in rows[1:]:
            self.assertNotRegex(row[4], r"^[=@+\-\t]")
            self.assertEqual(json.loads(row[5]), {"n": 1, "s": "t"})
        self.assertTrue(done.stdout.endswith(b"\r\n"))

    def test_hostile_values_are_shown_escaped_on_a_terminal(self):
        self.write(b'{"action":"x","detail":"a\\u001b[2Jb","k":"\xe2\x80\xae"}\n')
        for form in ("pretty", "json", "csv"):
            shown = self.run_on_terminal("query", self.log, "--output", form)
            self.assertNotIn("\x1b[2J", shown, form)
            self.assertNotIn("\u202e", shown, form)
        self.assertNotIn("\u202e", self.run_on_terminal("cat", self.log))

    def test_says_what_is_wrong(self):
        self.log_of(line("2026-01-01T00:00:00+00:00"))
        self.assertIn("expected a time, like -3h", self.run_annals("query", self.log, "--since", "soon", code=2)[1])
        self.assertIn("is not before", self.run_annals("query", self.log, "--since", "now", "--until", "-1h", code=2)[1])
        self.assertIn("there is no log at", self.run_annals("query", self.log + "x", code=3)[1])
        self.assertIn("it is no regular file", self.run_annals("cat", self.directory, code=3)[1])
        with open(self.log, "ab") as file:
            file.write(b"garbage\n")
        out, err = self.run_annals("query", self.log)
        self.assertEqual(len(out.splitlines()), 1)
        self.assertIn("7 bytes skipped", err)

    def test_gzip_is_refused_with_the_command_that_converts_it(self):
        lines = self.log_of(line("2026-01-01T00:00:00+00:00"))
        packed = os.path.join(self.directory, "it's.gz")
        with gzip.open(packed, "wb") as file:
            file.write(lines[0].encode() + b"\n")
        command = self.run_annals("cat", packed, code=3)[1].split("To convert it: ", 1)[1]
        self.assertIn("gzip -dc ", command)
        plain = os.path.join(self.directory, "plain.gz")
        os.rename(packed, plain)
        command = self.run_annals("query", plain, code=3)[1].split("To convert it: ", 1)[1].strip()
        subprocess.run(command, shell=True, check=True, capture_output=True)
        self.assertEqual(self.run_annals("query", os.path.join(self.directory, "plain.zst"))[0].splitlines(), list(lines))

    def test_reads_several_files_in_the_order_given(self):
        lines = [line(f"2026-01-0{day}T00:00:00+00:00") for day in (1, 2, 3)]
        names = [os.path.join(self.directory, name) for name in ("audit.jsonl.2", "audit.jsonl-20260102", "audit.jsonl")]
        for name, text in zip(names, lines):
            with open(name, "w") as file:
                file.write(text + "\n")
        subprocess.run(["zstd", "-q", "--rm", names[0]], check=True)
        names[0] += ".zst"
        self.assertEqual(self.run_annals("query", *names)[0].splitlines(), lines)
        self.assertEqual(self.run_annals("cat", *names)[0].splitlines(), lines)
        self.assertEqual(self.run_annals("query", *names, "--output", "count")[0], "3\n")

    def test_cat_gives_all_lines_and_ends_the_torn_ones(self):
        closed = os.path.join(self.directory, "audit-000001-20260101T000000Z.jsonl")
        with open(closed, "wb") as file:
            file.write(b'{"a":1}\ngarbage\n{"torn":')
        self.write(b'{"a":2}\n{"being wri')
        self.assertEqual(self.run_annals("cat", self.log)[0], '{"a":1}\ngarbage\n{"torn":\n{"a":2}\n')
        os.remove(self.log)
        self.assertEqual(self.run_annals("cat", self.log)[0], '{"a":1}\ngarbage\n{"torn":\n')

    def test_a_closed_pipe_ends_it_quietly(self):
        self.write(b'{"action":"x"}\n' * 200_000)
        for command in (["cat", self.log], ["query", self.log]):
            with subprocess.Popen([ANNALS, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                process.stdout.readline()
                process.stdout.close()
                self.assertEqual(process.stderr.read(), b"")
                self.assertEqual(process.wait(60), 0)


if __name__ == "__main__":
    main()
