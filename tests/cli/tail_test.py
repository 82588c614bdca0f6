#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import subprocess
import unittest

from command import ANNALS, CommandTest, Following, main


def line(action, **more):
    return json.dumps({"ts": "2026-03-07T12:00:00+00:00", "container": "web", "action": action, **more},
                      separators=(",", ":")).encode() + b"\n"


class Tail(CommandTest):
    def follow(self, *arguments):
        following = Following(self.log, *arguments, environment=self.environment)
        self.addCleanup(following.process.stdout.close)
        self.addCleanup(following.process.stderr.close)
        self.addCleanup(following.process.wait)
        self.addCleanup(following.process.kill)
        return following

    def test_shows_the_last_lines_as_they_are_when_piped(self):
        odd = b'{ "action" : "odd", "x":1e0 }\n'
        self.write(line("a") + line("b") + odd)
        out, err = self.run_annals("tail", self.log, "-n", "2")
        self.assertEqual(out.encode(), line("b") + odd)
        self.assertEqual(err, "")

    def test_shows_fifty_by_default(self):
        self.write(b"".join(line(str(i)) for i in range(60)))
        out, _ = self.run_annals("tail", self.log)
        self.assertEqual([json.loads(l)["action"] for l in out.splitlines()], [str(i) for i in range(10, 60)])

    def test_shows_very_many_in_bounded_memory(self):
        self.write(b"garbage\n" + b"".join(line(str(i)) for i in range(25_000)) + b"garbage\n")
        out, err = self.run_annals("tail", self.log, "-n", "21000", code=4)
        self.assertEqual([json.loads(one)["action"] for one in out.splitlines()], [str(i) for i in range(4_000, 25_000)])
        self.assertEqual(err.count("bytes skipped"), 1)
        self.assertEqual(len(self.run_annals("tail", self.log, "-n", "999999999", code=4)[0].splitlines()), 25_000)

    def test_follows_behind_very_many_in_bounded_memory(self):
        self.write(b"garbage\n" + b"".join(line(str(i)) for i in range(25_000)))
        following = self.follow("-n", "21000")
        self.assertEqual([json.loads(following.line())["action"] for _ in range(21_000)], [str(i) for i in range(4_000, 25_000)])
        with open(self.log, "ab") as file:
            file.write(line("new"))
        self.assertEqual(json.loads(following.line())["action"], "new")
        self.assertEqual(following.end(signal.SIGINT), (0, ""))

    def test_a_follower_that_found_damage_ends_with_exit_code_4(self):
        self.write(line("a"))
        following = self.follow()
        following.line()
        with open(self.log, "ab") as file:
            file.write(b"garbage\n" + line("b"))
        following.line()
        code, err = following.end(signal.SIGTERM)
        self.assertEqual(code, 4)
        self.assertIn("7 bytes skipped", err)

    def test_shows_nothing_of_zero(self):
        self.write(line("a"))
        self.assertEqual(self.run_annals("tail", self.log, "-n", "0")[0], "")

    def test_reports_damage_on_standard_error(self):
        self.write(line("a") + b"garb\x1bage\n" + line("b"))
        out, err = self.run_annals("tail", self.log, code=4)
        self.assertEqual(len(out.splitlines()), 2)
        self.assertIn(f"annals: {self.log}: at offset {len(line('a'))}: 8 bytes skipped: not valid JSON", err)

    def test_a_missing_log_is_exit_code_3(self):
        _, err = self.run_annals("tail", self.log, code=3)
        self.assertEqual(err, f"annals: there is no log at '{self.log}'\n")

    def test_what_is_no_file_is_exit_code_3(self):
        _, err = self.run_annals("tail", self.directory, code=3)
        self.assertEqual(err, f"annals: cannot read '{self.directory}': it is no regular file; expected the live segment of a log\n")
        os.mkfifo(self.log)
        self.run_annals("tail", self.log, code=3)
        os.unlink(self.log)
        os.symlink("/dev/null", self.log)
        _, err = self.run_annals("tail", self.log, code=3)
        self.assertIn("it is a symbolic link", err)

    def test_json_on_a_terminal_is_harmless_and_still_json(self):
        foreign = '{"action":"a\u009b[2J\u202e\U0001f512é",\t"x":1}\r\n'
        self.write(foreign.encode())
        out = self.run_on_terminal("tail", self.log, "--output", "json")
        self.assertTrue(out.isascii())
        self.assertNotIn("\t", out)
        self.assertNotIn("\r", out)
        self.assertEqual(json.loads(out), json.loads(foreign))
        self.assertEqual(self.run_annals("tail", self.log)[0], foreign)

    def test_columns_cannot_be_forged(self):
        self.write(line("denied  8.8.8.8:1", dest="203.0.113.7:443   fine") + line("denied", dest="") )
        out, _ = self.run_annals("tail", self.log, "--output", "pretty")
        self.assertIn('"denied  8.8.8.8:1"  "203.0.113.7:443   fine"\n', out)
        self.assertTrue(out.endswith('  denied               ""\n'), out)

    def test_columns_cannot_be_forged_with_characters_that_look_like_blanks(self):
        for blank in "\u00a0\u1680\u2000\u2003\u2007\u202f\u205f\u3000\u2800\u3164\U0001d159\U00016fe4\U00013440\U000e0000\ufff9\ue000\u0378":
            forged = f"web{blank * 3}allowed{blank * 2}198.51.100.7:443"
            with open(self.log, "wb") as file:
                file.write(json.dumps({"ts": "t", "container": forged, "action": "denied", "detail": f"x{blank}{blank}user=root"}).encode() + b"\n")
            out, _ = self.run_annals("tail", self.log, "--output", "pretty")
            self.assertNotIn(blank, out, hex(ord(blank)))
            self.assertIn("\\u", out)

    def test_much_damage_of_one_kind_is_one_report(self):
        self.write(line("a") + b"\n" * 1000 + b"x\n" + line("b"))
        out, err = self.run_annals("tail", self.log, code=4)
        self.assertEqual(len(out.splitlines()), 2)
        reports = err.splitlines()
        self.assertEqual(len(reports), 3, err)
        self.assertEqual(reports[2], "annals: and 999 more of that kind, 0 bytes in all")

    def test_help_that_cannot_be_written_is_exit_code_3(self):
        with open("/dev/full", "wb") as full:
            for arguments in (["--help"], ["--version"], ["tail", "--help"]):
                self.assertEqual(subprocess.run([ANNALS, *arguments], stdout=full, env=self.environment).returncode, 3)

    def test_closed_standard_descriptors_do_no_harm(self):
        self.write(line("a"))
        shown = subprocess.run(["bash", "-c", f'"{ANNALS}" tail "{self.log}" >&-'], capture_output=True, env=self.environment)
        self.assertEqual((shown.returncode, shown.stderr), (3, b"annals: cannot write the output: Bad file descriptor\n"))
        os.remove(self.log)
        script = f'exec >&- 2>&- <&-; "{ANNALS}" log "{self.log}" web x; "{ANNALS}" log "{self.log}" web y --field ts=1'
        subprocess.run(["bash", "-c", script], env=self.environment)
        self.assertEqual(len(open(self.log, "rb").read().splitlines()), 1)

    def test_fields_cannot_be_forged_in_columns(self):
        self.write(line("x", detail='ok  rule=17', **{"a=1  b": "2", "q": 'say "x"'}))
        out, _ = self.run_annals("tail", self.log, "--output", "pretty")
        self.assertEqual(out.split("x  ", 1)[1], '"ok  rule=17"  "a=1  b"=2  q="say \\"x\\""\n')

    def test_wrong_usage_is_exit_code_2(self):
        for arguments in (("tail",), ("tail", self.log, "-n", "x"), ("tail", self.log, "-n", ""), ("tail", self.log, "-n", "-3"),
                          ("tail", self.log, "-n", "0x3"), ("tail", ""), ("tail", self.log, "--output", "xml"), ("tail", self.log, "more")):
            self.run_annals(*arguments, code=2)

    def test_columns_are_aligned(self):
        self.write(line("a", dest="1.2.3.4") + line("denied", dest="203.0.113.7:443", detail="why", rule=17, note="two words") +
                   '{"ts":"t","container":"漢字","action":"b","detail":"wide"}\n'.encode())
        out, _ = self.run_annals("tail", self.log, "--output", "pretty")
        self.assertEqual(out.splitlines(), [
            "2026-03-07T12:00:00+00:00  web   a       1.2.3.4",
            "2026-03-07T12:00:00+00:00  web   denied  203.0.113.7:443  why  rule=17  note=\"two words\"",
            "t                          漢字  b                        wide"])

    def test_colours_are_for_terminals_without_no_color(self):
        self.write(line("denied"))
        self.assertIn("\x1b[31mdenied\x1b[0m", self.run_on_terminal("tail", self.log))
        self.assertNotIn("\x1b", self.run_on_terminal("tail", self.log, NO_COLOR="1"))
        self.assertIn("\x1b", self.run_on_terminal("tail", self.log, NO_COLOR=""))
        self.assertNotIn("\x1b", self.run_on_terminal("tail", self.log, TERM="dumb"))
        self.assertNotIn("\x1b", self.run_annals("tail", self.log, "--output", "pretty")[0])
        self.assertEqual(self.run_on_terminal("tail", self.log, "--output", "json").encode(), line("denied"))

    def test_control_characters_never_reach_the_terminal(self):
        nasty = "".join(map(chr, range(0x20))) + "\x7f\x80\x85\x9b\xad\u200b\u200e\u2028\u2029\u202e\u2066\ufeff\U000e0041\\"
        self.write(json.dumps({"ts": nasty, "container": nasty, "action": nasty, "dest": nasty, "detail": nasty, nasty: nasty,
                               "deep": {nasty: nasty}}).encode() + b"\n")
        out = self.run_on_terminal("tail", self.log, NO_COLOR="1")
        self.assertEqual(out.count("\n"), 1)
        for c in set(nasty) - set("\n\\ "):
            self.assertNotIn(c, out, hex(ord(c)))
        self.assertIn("\\u001b", out)
        self.assertIn("\\u202e", out)
        self.assertIn("\\u{e0041}", out)
        self.assertIn("\\\\", out)

    def test_follows_what_comes(self):
        self.write(line("a"))
        following = self.follow("-n", "1")
        self.assertEqual(json.loads(following.line())["action"], "a")
        for i in range(5):
            self.run_annals("log", self.log, "web", f"n{i}")
            self.assertEqual(json.loads(following.line())["action"], f"n{i}")
        self.assertEqual(following.end(signal.SIGINT), (0, ""))

    def test_follows_across_replacement_and_truncation(self):
        self.write(line("a"))
        following = self.follow()
        self.assertEqual(json.loads(following.line())["action"], "a")
        os.rename(self.log, self.log + ".1")
        self.run_annals("log", self.log, "web", "b")
        self.assertEqual(json.loads(following.line())["action"], "b")
        os.truncate(self.log, 0)
        self.run_annals("log", self.log, "web", "c")
        self.assertEqual(json.loads(following.line())["action"], "c")
        code, errors = following.end(signal.SIGTERM)
        self.assertEqual(code, 4)
        self.assertIn("cut or rewritten", errors)

    def test_waits_for_a_log_that_is_not_there_yet(self):
        following = self.follow()
        self.assertEqual(following.process.stderr.readline().decode(),
                         f"annals: there is no log at '{self.log}' yet; waiting for it\n")
        self.run_annals("log", self.log, "web", "first")
        self.assertEqual(json.loads(following.line())["action"], "first")
        self.assertEqual(following.end(signal.SIGINT), (0, ""))

    def test_ends_quietly_when_nobody_reads_on(self):
        self.write(line("a") * 100_000)
        with subprocess.Popen([ANNALS, "tail", self.log, "-n", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.environment) as process:
            process.stdout.read(10)
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
        self.assertEqual(process.returncode, 0)

    def test_a_follower_of_an_idle_log_ends_when_nobody_reads_any_more(self):
        self.write(line("a"))
        with subprocess.Popen([ANNALS, "tail", "-f", self.log], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.environment) as process:
            process.stdout.readline()
            process.stdout.close()
            self.assertEqual(process.wait(30), 0)
            self.assertEqual(process.stderr.read(), b"")

    def test_output_that_cannot_be_written_is_exit_code_3(self):
        self.write(line("a"))
        with open("/dev/full", "wb") as full:
            done = subprocess.run([ANNALS, "tail", self.log], stdout=full, stderr=subprocess.PIPE, env=self.environment)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"No space left on device", done.stderr)


if __name__ == "__main__":
    main()
