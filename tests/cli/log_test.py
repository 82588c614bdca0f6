#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
import json
import os
import resource
import signal
import subprocess
import unittest

from command import ANNALS, CommandTest, main


class Log(CommandTest):
    def event(self):
        return json.loads(self.lines()[-1])

    def test_appends_one_event(self):
        out, err = self.run_annals("log", self.log, "web", "denied", "--dest", "203.0.113.7:443", "--detail", "not in allowlist")
        self.assertEqual((out, err), ("", ""))
        event = self.event()
        self.assertEqual(list(event), ["ts", "container", "action", "dest", "detail"])
        self.assertEqual(event["dest"], "203.0.113.7:443")

    def test_fields_are_text_or_json(self):
        self.run_annals("log", self.log, "web", "x", "--field", "a=1", "--field", "b:=1", "--field", "c:=[1, {\"k\": null}]",
                        "--field", "d=", "--field", "e=x=y", "--field", "f=[1]", "--field", "g=a,b")
        event = self.event()
        self.assertEqual({k: event[k] for k in "abcdefg"},
                         {"a": "1", "b": 1, "c": [1, {"k": None}], "d": "", "e": "x=y", "f": "[1]", "g": "a,b"})

    def test_an_empty_value_behind_an_equals_sign_is_a_value(self):
        self.run_annals("log", self.log, "web", "x", "--detail=", "--dest=")
        entry = json.loads(self.lines()[0])
        self.assertEqual((entry["detail"], entry["dest"]), ("", ""))

    def test_an_unknown_command_is_named_with_the_most_similar_one(self):
        self.assertEqual(self.run_annals("tial", self.log, code=2)[1], "annals: unknown command 'tial'; did you mean 'tail'?\n")
        self.assertEqual(self.run_annals("qurey", self.log, code=2)[1], "annals: unknown command 'qurey'; did you mean 'query'?\n")
        self.assertEqual(self.run_annals("frobnicate", code=2)[1], "annals: unknown command 'frobnicate'; see `annals --help`\n")

    def test_output_that_cannot_be_written_is_reported_by_every_command(self):
        self.run_annals("log", self.log, "web", "x")
        config = self.log + ".json"
        with open(config, "w", encoding="ascii") as file:
            json.dump({"path": self.log}, file)
        for arguments in (("segments", self.log), ("tail", self.log), ("query", self.log), ("cat", self.log), ("plugins",),
                          ("archive", self.log), ("config", "check", config), ("plugin", "check", "--list"), ("rotate", self.log)):
            for script in ('"$@" >/dev/full', '"$@" >&-'):
                self.run_annals("log", self.log, "web", "x")  # something to rotate
                done = subprocess.run(["sh", "-c", script, "sh", ANNALS, *arguments], capture_output=True, env=self.environment)
                self.assertEqual(done.returncode, 3, (arguments, script))
                self.assertIn(b"cannot write the output: ", done.stderr, (arguments, script))

    def test_values_are_bytes_and_never_interpreted(self):
        nasty = b"\xff\x1b[2J%s${x}\\n\n"
        subprocess.run([ANNALS.encode(), b"log", self.log.encode(), nasty, b"x", b"--detail=" + nasty], check=True)
        event = self.event()
        self.assertEqual(event["container"], nasty.decode(errors="replace"))
        self.assertEqual(event["detail"], nasty.decode(errors="replace"))
        self.assertEqual(len(self.lines()), 1)

    def test_empty_strings_are_strings(self):
        self.run_annals("log", self.log, "", "", "--dest", "")
        event = self.event()
        self.assertEqual((event["container"], event["action"], event["dest"]), ("", "", ""))

    def test_makes_missing_directories(self):
        self.log = os.path.join(self.directory, "a", "b", "audit.jsonl")
        self.run_annals("log", self.log, "web", "x")
        self.assertEqual(os.stat(os.path.dirname(self.log)).st_mode & 0o777, 0o700)
        self.assertEqual(os.stat(self.log).st_mode & 0o777, 0o600)

    def test_refused_input_is_exit_code_1(self):
        for field, words in (("ts=1", "reserved"), ("a:=[1,", "not valid")):
            _, err = self.run_annals("log", self.log, "web", "x", "--field", field, code=1)
            self.assertTrue(err.startswith("annals: cannot log the event:"), err)
        self.assertFalse(os.path.exists(self.log))

    def test_wrong_usage_is_exit_code_2(self):
        for arguments in ((), ("log",), ("log", self.log), ("log", self.log, "web"), ("log", self.log, "web", "x", "y"),
                          ("log", self.log, "--jsonl", "web", "x"), ("log", self.log, "--jsonl", "--dest", "d"), ("lag",),
                          ("log", self.log, "web", "x", "--field", "a"), ("log", self.log, "web", "x", "--field", "=a"),
                          ("log", self.log, "web", "x", "--field", ":=1"), ("log", "", "web", "x"),
                          ("log", self.log, "web", "x", "--nonsense")):
            _, err = self.run_annals(*arguments, code=2)
            self.assertNotEqual(err, "", arguments)
        self.assertFalse(os.path.exists(self.log))

    def test_complaints_about_usage_show_control_characters_escaped(self):
        _, err = self.run_annals("log", self.log, "web", "x", "--\x1b[2J", code=2)
        self.assertNotIn("\x1b", err)
        self.assertIn("\\u001b[2J", err)

    def test_io_failure_is_exit_code_3_and_names_the_file(self):
        _, err = self.run_annals("log", self.directory, "web", "x", code=3)
        self.assertEqual(err, f"annals: cannot open '{self.directory}': it is a directory; "
                              "expected a regular file (or, to write, nothing yet)\n")

    def test_json_lines_are_logged_with_their_own_time(self):
        given = (b'{"ts":"2020-01-01T01:00:00+01:00","container":"web","action":"a","n":1,"deep":{"x":[null]}}\n'
                 b'{"ts":"2020-01-01T00:00:00.123Z","container":"web","action":"b","dest":null}\n'
                 b'\n'
                 b'{"action":"c","container":"web"}')
        self.run_annals("log", self.log, "--jsonl", stdin=given)
        lines = self.lines()
        self.assertEqual(lines[0], b'{"ts":"2020-01-01T00:00:00+00:00","container":"web","action":"a","n":1,"deep":{"x":[null]}}')
        self.assertEqual(lines[1], b'{"ts":"2020-01-01T00:00:00.123+00:00","container":"web","action":"b"}')
        self.assertEqual(json.loads(lines[2])["action"], "c")
        self.assertEqual(len(lines), 3)

    def test_numbers_are_logged_as_they_were_given(self):
        given = b'{"container":"web","action":"a","n":[1.50],"t":1760262716.123456789,"m":12345678901234567.89,"z":1.50,"e":1E5,"i":7}\n'
        self.run_annals("log", self.log, "--jsonl", stdin=given)
        self.assertTrue(self.lines()[0].endswith(given[1:].strip()), self.lines())

    def test_a_line_with_a_name_twice_is_reported(self):
        _, err = self.run_annals("log", self.log, "--jsonl", stdin=b'{"container":"web","action":"a","k":1,"k":2}\n', code=1)
        self.assertIn('line 1: the name "k" stands twice', err)
        self.run_annals("log", self.log, "--jsonl", stdin=b'{"container":"web","action":"a","k":{"k":2}}\n')

    def test_leap_seconds_and_offsets_without_a_colon_are_times(self):
        given = b"".join(b'{"ts":"%s","container":"web","action":"a"}\n' % ts
                         for ts in (b"2016-12-31T23:59:60Z", b"2026-03-07T14:00:00+0200"))
        self.run_annals("log", self.log, "--jsonl", stdin=given)
        self.assertEqual([json.loads(line)["ts"] for line in self.lines()], ["2016-12-31T23:59:59+00:00", "2026-03-07T12:00:00+00:00"])

    def test_bad_json_lines_are_reported_with_their_number_and_the_good_ones_kept(self):
        good = b'{"container":"web","action":"ok"}\n'
        bad = [b"not json\n", b"[1]\n", b'{"container":"web"}\n', b'{"action":"x"}\n', b'{"container":5,"action":"x"}\n',
               b'{"ts":"yesterday","container":"web","action":"x"}\n', b'{"container":"web","action":"x","detail":[1]}\n',
               b'{"ts":5,"container":"web","action":"x"}\n', b'{"container":"\xff","action":"x"}\n']
        _, err = self.run_annals("log", self.log, "--jsonl", stdin=good + good.join(bad) + good, code=1)
        self.assertEqual(len(self.lines()), len(bad) + 1)
        reports = err.splitlines()
        self.assertEqual(len(reports), len(bad) + 1, err)
        for i, report in enumerate(reports[:-1]):
            self.assertTrue(report.startswith(f"annals: line {2 * i + 2}: "), report)
        self.assertEqual(reports[-1], f"annals: {len(bad) + 1} events logged, {len(bad)} lines refused")

    def test_reports_show_control_characters_escaped(self):
        _, err = self.run_annals("log", self.log, "--jsonl", stdin=b'{"ts":"\\u001b[2J","container":"a","action":"b"}\n', code=1)
        self.assertNotIn("\x1b", err)
        self.assertIn("\\u001b[2J", err)

    def test_an_endless_line_is_refused_in_bounded_memory(self):
        good = b'{"container":"web","action":"ok"}\n'
        _, err = self.run_annals("log", self.log, "--jsonl", stdin=b"x" * (40 << 20) + b"\n" + good, code=1)
        self.assertIn("line 1: longer than any line of a log may be", err)
        self.assertEqual(len(self.lines()), 1)

    def test_a_full_disk_ends_the_import_with_exit_code_3(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which would end a program that does not think of it
        good = b'{"container":"web","action":"ok"}\n' * 100
        done = subprocess.run([ANNALS, "log", self.log, "--jsonl"], input=good, capture_output=True, preexec_fn=limit)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"File too large; stopped after", done.stderr)

    def test_two_hundred_thousand_lines(self):
        given = b"".join(b'{"container":"web","action":"n","n":%d}\n' % i for i in range(200_000))
        self.run_annals("log", self.log, "--jsonl", stdin=given)
        self.assertEqual([json.loads(line)["n"] for line in self.lines()], list(range(200_000)))

    def test_a_torn_tail_is_told_of(self):
        self.write(b'{"torn')
        _, err = self.run_annals("log", self.log, "web", "x")
        self.assertIn("was incomplete", err)


if __name__ == "__main__":
    main()
