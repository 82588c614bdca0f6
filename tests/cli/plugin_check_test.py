#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The conformance kit passes a plugin that keeps the contract, and finds what is wrong with each that does not."""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import unittest
import xml.etree.ElementTree

from command import ANNALS, CommandTest, main

PLUGINS = os.path.realpath(sys.argv[2])

# What each bad plugin fails: the case that is meant for it first, then those that meet the same fault.
SAYS_IT_BADLY = ["last_error", "bad_options", "silence", "status", "failing_destination", "archive"]  # each provokes a failure
BAD = {
    "reserved_slot_used": ["descriptor"],
    "takes_unknown_options": ["bad_options"],
    "opens_in_create": ["creation_opens_nothing"],
    "breaks_other_sinks": ["create_and_destroy_twice"],
    "reorders_lines": ["order"],
    "drops_the_last_of_a_batch": ["order"],
    "crashes_on_empty_batch": ["empty_batch"],
    "overruns_on_large_batch": ["large_batch"],
    "loses_one_of_many": ["many_batches"],
    "leaks_memory": ["memory_growth"],
    "leaks_sinks": ["memory_growth"],
    "installs_a_signal_handler": ["signals_left_alone"],
    "changes_the_umask": ["signals_left_alone"],
    "prints": ["silence"],
    "swallows_failures": ["failing_destination"],
    "belongs_to_one_thread": ["threads"],
    "writes_again_after_fork": ["fork"],
    "exits_in_destroy": ["create_and_destroy_twice"],
    "hangs_in_sync": ["sync"],
    "keeps_the_file_on_reopen": ["reopen"],
    "leaks_a_descriptor": ["descriptors"],
    "descriptor_is_inherited": ["descriptors"],
    "position_steps_back": ["position_is_monotonic"],
    "start_segment_keeps_the_file": ["start_segment"],
    "archive_keeps_the_segment": ["archive"],
    "returns_status_7": ["status", "last_error"],
    "error_after_success": ["last_error"],
    "error_without_message": SAYS_IT_BADLY,
    "error_of_two_lines": ["status", "failing_destination", "archive"],  # create may have several
    "error_is_not_utf8": SAYS_IT_BADLY,
}
SLOW = {"many_batches", "memory_growth"}  # tried for the plugins they are meant for


def plugin(name):
    return os.path.join(PLUGINS, f"annals_{name}.so")


class PluginCheck(CommandTest):
    def check(self, name, *arguments, code=0):
        return self.run_annals("plugin", "check", plugin(name), *arguments, code=code)

    def cases(self):
        return [line.split()[0] for line in self.run_annals("plugin", "check", "--list")[0].splitlines()]

    def results(self, name, *arguments):
        """By case: passed, failed or skipped, and why; from the JUnit file."""
        path = os.path.join(self.directory, f"{name}.xml")
        done = subprocess.run([ANNALS, "plugin", "check", plugin(name), "--junit", path, *arguments], capture_output=True,
                              timeout=120, env=self.environment)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        suite = xml.etree.ElementTree.parse(path).getroot()
        found = {}
        for case in suite:
            ended = [(element.tag, element.get("message")) for element in case]
            found[case.get("name")] = ended[0] if ended else ("passed", "")
        failures = sum(kind == "failure" for kind, _ in found.values())
        self.assertEqual(int(suite.get("failures")), failures)
        self.assertEqual(int(suite.get("tests")), len(found))
        self.assertEqual(done.returncode, 1 if failures else 0)
        return found

    def test_a_plugin_that_keeps_the_contract_passes_every_case(self):
        out, err = self.check("good_in_c", "--deadline", "60s")
        self.assertEqual(err, "")
        self.assertIn(f"{len(self.cases())} passed, 0 failed, 0 not checked, 0 not applicable", out)

    def test_each_bad_plugin_fails_the_case_that_is_meant_for_it_and_no_unexplained_one(self):
        all_cases = self.cases()

        def failed_by(name):
            chosen = [case for case in all_cases if case not in SLOW or case in BAD[name]]
            found = {}
            # The case meant for a plugin that hangs ends at the deadline, so that one is short; all others have time.
            for deadline, cases in (("2s" if name == "hangs_in_sync" else "30s", [case for case in chosen if case in BAD[name]]),
                                    ("30s", [case for case in chosen if case not in BAD[name]])):
                options = [word for case in cases for word in ("--case", case)]
                found |= self.results(name, "--deadline", deadline, *options)
            return name, {case for case, (kind, _) in found.items() if kind != "passed"}

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for name, failed in pool.map(failed_by, BAD):
                with self.subTest(plugin=name):
                    self.assertEqual(failed, set(BAD[name]))

    def test_there_is_a_bad_plugin_for_every_case_and_a_case_for_every_bad_plugin(self):
        self.assertEqual({cases[0] for cases in BAD.values()}, set(self.cases()))
        built = {name[len("annals_"):-len(".so")] for name in os.listdir(PLUGINS)}
        self.assertEqual(built, {*BAD, "good_in_c", "aborts_when_loaded", "throws_when_loaded"})

    def test_how_a_plugin_ended_the_process_is_told(self):
        for name, case, words in (("crashes_on_empty_batch", "empty_batch", "ended by signal 6 (Aborted) in write"),
                                  ("exits_in_destroy", "create_and_destroy_twice", "exit code 0 in destroy"),
                                  ("hangs_in_sync", "sync", "did not end within 500 ms, and was killed in sync"),
                                  ("aborts_when_loaded", "descriptor", "signal 6 (Aborted) in its static constructors"),
                                  ("throws_when_loaded", "descriptor", "signal 6 (Aborted) in its static constructors")):
            with self.subTest(plugin=name):
                out, _ = self.check(name, "--case", case, "--deadline", "500ms" if name == "hangs_in_sync" else "30s", code=1)
                self.assertIn(words, out)
                self.assertIn("0 passed, 1 failed", out)

    def test_a_plugin_whose_lines_cannot_be_seen_is_not_called_good_in_silence(self):
        hidden = os.path.join(os.path.dirname(PLUGINS), "loader", "null", "annals_null.so")
        junit = os.path.join(self.directory, "junit.xml")
        unseen = {"order", "empty_batch", "large_batch", "sync", "reopen", "fork", "threads", "failing_destination"}
        options = [word for case in (*unseen, "silence") for word in ("--case", case)]
        out, _ = self.run_annals("plugin", "check", hidden, "--junit", junit, *options)
        self.assertIn(f"1 passed, 0 failed, {len(unseen)} not checked, 0 not applicable", out)
        self.assertIn("WHAT WAS NOT CHECKED IS NOT PROVEN", out)
        self.assertEqual(out.count("say where they can be read: --destination FILE"), len(unseen))
        self.assertEqual(xml.etree.ElementTree.parse(junit).getroot().get("skipped"), str(len(unseen)))

    def test_lines_are_looked_for_where_the_caller_says(self):
        right = self.results("good_in_c", "--case", "order", "--destination", "{directory}/audit.jsonl")
        self.assertEqual(right["order"][0], "passed")
        wrong = self.results("good_in_c", "--case", "order", "--destination", "{directory}/other")
        self.assertEqual(wrong["order"][0], "failure")
        self.assertIn("the destination has 0 bytes", wrong["order"][1])

    def test_options_that_are_refused_are_told_by_every_case(self):
        out, _ = self.check("good_in_c", "--options", '{"colour": "<mauve>\\n"}', "--case", "sync", "--case", "order", code=1)
        self.assertEqual(out.count("create failed with the given --options: $.sink.colour: no such option"), 2)

    def test_a_file_that_the_loader_refuses_is_a_failed_check(self):
        bad = os.path.join(os.path.realpath(self.directory), "annals_good_in_c.so")
        shutil.copy(plugin("good_in_c"), bad)
        os.chmod(bad, 0o777)
        junit = os.path.join(self.directory, "junit.xml")
        _, err = self.run_annals("plugin", "check", bad, "--junit", junit, code=1)
        self.assertIn(f"cannot load the plugin '{bad}'", err)
        self.assertEqual(xml.etree.ElementTree.parse(junit).getroot().get("failures"), "1")

    def test_a_link_is_not_followed_and_a_relative_path_is_taken(self):
        os.symlink(plugin("good_in_c"), os.path.join(self.directory, "annals_good_in_c.so"))
        self.run_annals("plugin", "check", os.path.join(self.directory, "annals_good_in_c.so"), code=1)
        self.run_annals("plugin", "check", os.path.relpath(plugin("good_in_c")), "--case", "descriptor")

    def test_nothing_is_left_behind(self):
        temporary = os.path.join(self.directory, "tmp")
        os.mkdir(temporary)
        for name in ("good_in_c", "crashes_on_empty_batch", "exits_in_destroy"):
            subprocess.run([ANNALS, "plugin", "check", plugin(name), "--case", "empty_batch", "--case", "failing_destination",
                            "--case", "create_and_destroy_twice"], capture_output=True,
                           env={**self.environment, "TMPDIR": temporary})
        self.assertEqual(os.listdir(temporary), [])

    def test_wrong_usage_is_exit_code_2(self):
        for arguments in ((), (plugin("good_in_c"), "--case", "nonsense"), (plugin("good_in_c"), "--options", "{"),
                          (plugin("good_in_c"), "--deadline", "soon"), ("",)):
            _, err = self.run_annals("plugin", "check", *arguments, code=2)
            self.assertNotEqual(err, "", arguments)

    def test_what_the_checker_itself_cannot_do_is_exit_code_3(self):
        _, err = self.check("good_in_c", "--case", "sync", "--junit", os.path.join(self.directory, "missing", "x.xml"), code=3)
        self.assertIn("missing/x.xml", err)
        missing = os.path.join(self.directory, "missing")
        self.run_annals("plugin", "check", plugin("good_in_c"), "--case", "sync", code=3, TMPDIR=missing)

    def test_colours_are_for_terminals_and_not_with_no_color(self):
        arguments = ("plugin", "check", plugin("good_in_c"), "--case", "sync")
        self.assertIn("\x1b[32mok", self.run_on_terminal(*arguments))
        self.assertNotIn("\x1b", self.run_on_terminal(*arguments, NO_COLOR="1"))
        self.assertNotIn("\x1b", self.run_annals(*arguments)[0])


if __name__ == "__main__":
    main()
