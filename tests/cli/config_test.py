#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""annals config check, and annals log --config.
usage: config_test.py ANNALS PLUGINS    PLUGINS: where the plugins of the tests were built"""
import json
import os
import subprocess
import unittest

from command import ANNALS, CommandTest, main
from plugin_files import copy_plugin


class ConfigTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.directory = os.path.realpath(self.directory)
        self.log = os.path.join(self.directory, "audit.jsonl")
        self.file = os.path.join(self.directory, "annals.json")

    def configure(self, content):
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))

    def entries(self):
        return sorted(os.listdir(self.directory))


class Check(ConfigTest):
    def check(self, *arguments, code=0):
        return self.run_annals("config", "check", self.file, *arguments, code=code)

    def summary(self, *arguments):
        out, err = self.check(*arguments)
        self.assertEqual(err, "")
        first, *rest = out.splitlines()
        self.assertEqual(first, self.file + ": good")
        return dict(line.split(None, 1) for line in rest)

    def test_a_good_one_is_summed_up_with_what_will_be_used(self):
        self.configure({"path": "audit.jsonl", "enabled": False, "max_line_bytes": "64KiB", "file_mode": "0640",
                        "timestamps": "microseconds"})
        self.assertEqual(self.summary(), {
            "path": self.log, "sink": "file", "archive": "none", "delivery": "direct", "enabled": "no", "timestamps": "microseconds",
            "max_line_bytes": "65536", "file_mode": "0640"})
        self.assertEqual(self.entries(), ["annals.json"])

    def test_the_delivery_that_is_configured_is_summed_up(self):
        for delivery in ("direct", "ring", "durable"):
            self.configure({"path": "audit.jsonl", "delivery": delivery})
            self.assertEqual(self.summary()["delivery"], delivery)

    def test_what_is_configured_is_summed_up(self):
        self.configure({"path": "audit.jsonl", "delivery": "ring", "ring_bytes": "1MiB", "on_full": "drop"})
        found = self.summary()
        self.assertEqual((found["ring_bytes"], found["on_full"], found["ring_in_use"]), ("1048576", "drop", "refuse"))
        copy_plugin("null", "null", self.directory)
        self.configure({"plugin_directories": ["."], "sink": {"type": "null", "size": "64MiB"}})
        self.assertIn("sink.size            64MiB", self.check("--no-load")[0])

    def test_a_stage_of_pressure_that_can_do_nothing_is_a_problem(self):
        self.configure({"path": "audit.jsonl", "sink": {"type": "rotate", "pressure": {"warn": "10%", "archive": "8%"}}})
        self.assertIn("$.sink.pressure.archive: ", self.check("--no-load", code=1)[1])

    def test_a_name_that_cannot_fit_is_a_problem(self):
        for sink, longest in (("rotate", 255 - 38), ("file", 255 - 10 - 6)):
            for more, code in ((0, None), (1, 1)):
                self.configure({"path": "n" * (longest + more) + ".jsonl", "sink": {"type": sink}})
                out = subprocess.run([ANNALS, "config", "check", self.file, "--no-load"], capture_output=True)
                self.assertEqual(b"$.path: " in out.stderr, code == 1, (sink, more, out.stderr))

    def test_a_plugin_is_summed_up_with_its_version_and_file(self):
        plugin = copy_plugin("null", "null", self.directory)
        for kind in ("null", plugin):
            self.configure({"plugin_directories": ["."], "sink": {"type": kind}})
            found = self.summary()
            self.assertEqual(found["path"], "none")
            name, version, path = found["sink"].replace(",", "").split()
            self.assertEqual((name, version, os.path.realpath(path)), ("null", "1.0.0", plugin))
        self.assertEqual(self.entries(), ["annals.json", "annals_null.so"])

    def test_every_problem_is_a_line_and_the_exit_code_is_1(self):
        self.configure({"paht": "x", "enabled": "yes", "sink": {"type": "file", "rotate": True}})
        out, err = self.check(code=1)
        self.assertEqual(out, "")
        lines = err.splitlines()
        self.assertEqual(lines[0], f"annals: cannot use the configuration '{self.file}': 4 problems:")
        self.assertEqual([line.split(":")[1].strip() for line in lines[1:]], ["$.enabled", "$.path", "$.paht", "$.sink.rotate"])
        self.assertIn('(did you mean "path"?)', lines[3])

    def test_what_is_no_json_is_told_with_line_and_column(self):
        self.configure('{\n  "path": "x",\n}\n')
        _, err = self.check(code=1)
        self.assertIn("line 3, column 1: found", err)

    def test_what_a_plugin_refuses_names_the_file_and_the_place(self):
        copy_plugin("throwing", "throwing", self.directory)
        self.configure({"plugin_directories": ["."], "sink": {"type": "throwing", "from": "create", "throws": "runtime_error"}})
        _, err = self.check(code=1)
        self.assertEqual(err, f"annals: cannot use the configuration '{self.file}': $.sink: "
                              "the plugin 'throwing': the disk is on fire\n")
        self.assertEqual(self.summary("--no-load")["not"].split(None, 1)[1], "the plugins' own options (--no-load)")

    def test_a_plugins_problems_are_told_with_the_others_unless_it_is_not_to_be_loaded(self):
        copy_plugin("strict", "strict", self.directory)
        self.configure({"paht": "x", "plugin_directories": ["."], "sink": {"type": "strict", "port": "x", "adress": "y"}})
        _, err = self.check(code=1)
        first, *rest = err.splitlines()
        self.assertEqual(first, f"annals: cannot use the configuration '{self.file}': 3 problems:")
        self.assertEqual([line.split(": found")[0] for line in rest],
                         ["annals:   $.paht", "annals:   $.sink: the plugin 'strict': $.sink.port", "annals:   $.sink.adress"])
        _, err = self.check("--no-load", code=1)
        self.assertIn("1 problem:", err)

    def test_with_no_load_nothing_of_a_plugin_runs(self):
        copy_plugin("good", "broken", self.directory)
        self.configure({"plugin_directories": ["."], "sink": {"type": "broken"}})
        ran = os.path.join(self.directory, "ran")
        out, _ = self.run_annals("config", "check", "--no-load", self.file, ANNALS_TEST_RAN=ran)
        self.assertIn("broken 1.2.3, ", out)
        self.assertFalse(os.path.exists(ran))
        self.run_annals("config", "check", self.file, ANNALS_TEST_RAN=ran)
        self.assertTrue(os.path.exists(ran), "the plugin has to tell when it runs")

    def test_a_plugin_that_is_refused_or_nowhere_is_told_alike_with_and_without_loading(self):
        copy_plugin("FUTURE_MAJOR", "broken", self.directory)
        for kind, words in (("broken", "built for ABI 3.0; this host has ABI 2.0"), ("sylog", "there is no annals_sylog.so in"),
                            (self.directory, "is a directory; expected a regular file")):
            self.configure({"plugin_directories": ["."], "sink": {"type": kind}})
            said = {self.check(*arguments, code=1)[1] for arguments in ((), ("--no-load",))}
            self.assertEqual(len(said), 1, said)
            self.assertTrue(said.copy().pop().startswith(f"annals: cannot use the configuration '{self.file}': $.sink: "), said)
            self.assertIn(words, said.pop())

    def test_an_archiver_as_a_sink_and_a_sink_as_an_archiver_are_refused_alike_with_and_without_loading(self):
        copy_plugin("archiver", "archiver", self.directory)
        copy_plugin("null", "null", self.directory)
        for member, kind, words in (("sink", "archiver", "'archiver' is an archiver and offers no sink"),
                                    ("archive", "null", "'null' offers no archiver")):
            self.configure({"path": "audit.jsonl", "plugin_directories": ["."], member: {"type": kind}})
            said = {self.check(*arguments, code=1)[1] for arguments in ((), ("--no-load",))}
            self.assertEqual(len(said), 1, said)
            self.assertIn(f"$.{member}: the plugin {words}", said.pop())

    def test_foreign_text_is_shown_and_never_obeyed(self):
        self.configure('{"path": "x", "a\\u001b[2J\\u202e\\u009b": "\\u0007\\n\\u2028", "sink": {"type": "\\u001b[1m"}}')
        _, err = self.check(code=1)
        self.assertEqual(len(err.splitlines()), 3, err)
        self.assertFalse([c for c in err if c != "\n" and not c.isprintable()], err)
        odd = os.path.join(self.directory, "a\nb\x1b.json")
        os.rename(self.file, odd)
        self.run_annals("config", "check", odd, code=1)
        with open(odd, "w", encoding="utf-8") as file:
            file.write('{"path": "\\u001b[2J"}')
        out, _ = self.run_annals("config", "check", odd)
        self.assertNotIn("\x1b", out)
        self.assertTrue(out.splitlines()[0].endswith("a\\nb\\u001b.json: good"), out)

    def test_what_cannot_be_read_is_exit_code_3(self):
        _, err = self.run_annals("config", "check", self.file, code=3)
        self.assertIn("No such file or directory", err)
        self.run_annals("config", "check", self.directory, code=3)
        os.mkfifo(self.file)
        _, err = self.run_annals("config", "check", self.file, code=3)
        self.assertIn("expected a regular file", err)

    def test_a_symbolic_link_to_one_is_none_but_directories_may_be_links(self):
        self.configure({"path": "audit.jsonl"})
        link = os.path.join(self.directory, "link")
        os.symlink(self.file, link)
        _, err = self.run_annals("config", "check", link, code=3)
        self.assertIn("it is a symbolic link", err)
        os.remove(link)
        os.symlink(self.directory, link)
        out, _ = self.run_annals("config", "check", os.path.join(link, "annals.json"))
        self.assertIn(f" {self.log}\n", out)

    def test_wrong_usage_is_exit_code_2(self):
        self.configure({"path": "x"})
        for arguments in ((), ("check",), ("check", ""), ("check", self.file, "x"), ("chekc", self.file), ("check", self.file, "--load")):
            self.run_annals("config", *arguments, code=2)

    def test_a_closed_or_full_standard_output_is_exit_code_3(self):
        self.configure({"path": "x"})
        self.assertEqual(os.system(f"'{self.command()}' config check '{self.file}' >/dev/full 2>/dev/null") >> 8, 3)

    @staticmethod
    def command():
        from command import ANNALS
        return ANNALS


class Log(ConfigTest):
    def test_events_go_where_the_configuration_says(self):
        self.configure({"path": "sub/audit.jsonl", "timestamps": "microseconds", "file_mode": "0640"})
        self.run_annals("log", "--config", self.file, "web", "denied", "--dest", "cdn.example", "--field", "rule:=17")
        self.run_annals("log", "web", "allowed", "--config", self.file)
        self.log = os.path.join(self.directory, "sub", "audit.jsonl")
        events = [json.loads(line) for line in self.lines()]
        self.assertEqual([(e["container"], e["action"]) for e in events], [("web", "denied"), ("web", "allowed")])
        self.assertEqual((events[0]["dest"], events[0]["rule"]), ("cdn.example", 17))
        self.assertEqual(len(events[0]["ts"]), len("2026-11-23T09:00:00.123456+00:00"))
        self.assertEqual(os.stat(self.log).st_mode & 0o777, 0o640)

    def test_json_lines_go_there_too(self):
        self.configure({"path": "audit.jsonl", "max_line_bytes": 128})
        lines = b'{"container":"a","action":"b"}\n{"container":"a","action":"' + b"x" * 200 + b'"}\n{"container":"c","action":"d"}\n'
        _, err = self.run_annals("log", "--jsonl", "--config", self.file, stdin=lines, code=1)
        self.assertIn("line 2: ", err)
        self.assertIn("2 events logged, 1 lines refused", err)
        self.assertEqual([json.loads(line)["container"] for line in self.lines()], ["a", "c"])

    def test_a_disabled_logger_writes_nothing(self):
        self.configure({"path": "audit.jsonl", "enabled": False})
        self.run_annals("log", "--config", self.file, "web", "denied")
        self.assertEqual(self.entries(), ["annals.json"])

    def test_a_plugin_takes_the_events_and_its_failures_are_told(self):
        for name in ("null", "throwing"):
            copy_plugin(name, name, self.directory)
        self.configure({"plugin_directories": ["."], "sink": {"type": "null"}})
        self.assertEqual(self.run_annals("log", "--config", self.file, "web", "denied"), ("", ""))
        self.configure({"plugin_directories": ["."], "sink": {"type": "throwing", "from": "write", "throws": "io"}})
        _, err = self.run_annals("log", "--config", self.file, "web", "denied", code=3)
        self.assertIn("the plugin 'throwing': cannot write 'x': No space left on device", err)

    def test_plugins_are_not_looked_for_where_it_is_called(self):
        copy_plugin("throwing", "throwing", self.directory)
        self.configure({"sink": {"type": "throwing"}})
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.directory)
        _, err = self.run_annals("log", "--config", "annals.json", "web", "denied", code=1, LD_LIBRARY_PATH=self.directory)
        self.assertIn("there is no annals_throwing.so in", err)

    def test_a_bad_configuration_is_told_with_every_problem(self):
        self.configure({"paht": "x", "enabled": 1})
        _, err = self.run_annals("log", "--config", self.file, "web", "denied", code=1)
        self.assertEqual(len(err.splitlines()), 4, err)
        os.remove(self.file)
        self.run_annals("log", "--config", self.file, "web", "denied", code=3)

    def test_with_a_configuration_a_file_is_wrong_usage(self):
        self.configure({"path": "audit.jsonl"})
        for arguments in ((), ("web",), (self.log, "web", "denied"), ("--jsonl", self.log), ("--jsonl", "web", "denied")):
            _, err = self.run_annals("log", "--config", self.file, *arguments, code=2)
            self.assertNotEqual(err, "")
        self.run_annals("log", "--config", "", "web", "denied", code=2)
        self.assertEqual(self.entries(), ["annals.json"])


if __name__ == "__main__":
    main()
