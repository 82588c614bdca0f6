#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""annals query and annals cat."""
import bz2
import csv
import datetime
import gzip
import io
import json
import lzma
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
        self.assertEqual(self.query("--since", "yesterday", "--until", "yesterday"), [lines[1]])
        self.assertEqual(self.query("--since", "yesterday", "--until", str(times[1].date())), [lines[1]])
        self.assertEqual(self.query("--since", "today", "--until", "today"), list(lines[2:]))
        self.assertEqual(self.query("--until", "yesterday"), list(lines[:2]))
        self.assertIn(lines[3], self.query("--since", "-1m"))
        self.assertEqual(self.query("--since", "-3d12h"), list(lines))
        self.assertEqual(self.query("--since", str(midnight.date()), "--until", (midnight + datetime.timedelta(days=2)).isoformat()),
                         list(lines[2:]))

    def test_zones(self):
        lines = self.log_of(line("2026-07-01T11:30:00+00:00"), line("2026-07-01T13:30:00+00:00"))
        for since in ("2026-07-01T13:00", "2026-07-01 13:00:00", "2026-07-01T15:00:00+02:00", "2026-07-01T13:00:00.000Z",
                      "2026-07-01T13:00Z", "2026-07-01T15:00+0200", "2026-07-01T15:00:00+02"):
            self.assertEqual(self.query("--since", since), [lines[1]], since)
        self.assertEqual(self.query("--since", "2026-07-01T15:00", "--local", TZ="Europe/Berlin"), [lines[1]])
        self.assertEqual(self.query("--since", "2026-07-01T12:30", "--local", TZ="UTC+0"), [lines[1]])

    def test_a_time_that_clocks_show_twice_is_both(self):
        # In Berlin, 02:30 comes twice on 2026-10-25: at 00:30 and at 01:30 UTC.
        lines = self.log_of(*(line(f"2026-10-25T0{hour}:{minute}:00+00:00") for hour in (0, 1) for minute in (15, 45)))
        self.assertEqual(self.query("--since", "2026-10-25T02:30", "--local", TZ="Europe/Berlin"), list(lines[1:]))
        self.assertEqual(self.query("--until", "2026-10-25T02:30", "--local", TZ="Europe/Berlin"), list(lines[:3]))
        self.assertEqual(self.query("--since", "2026-10-25", "--until", "2026-10-25", "--local", TZ="Europe/Berlin"), list(lines))

    def test_filters(self):
        lines = self.log_of(line("2026-01-01T00:00:00+00:00", dest="203.0.113.7:443"), line("2026-01-01T00:00:01+00:00", "mail", "allowed"),
                            line("2026-01-01T00:00:02+00:00", dest="203.0.113.70:443", detail="m\u00fcnchen"))
        self.assertEqual(self.query("--dest", "203.0.113.7:443"), [lines[0]])
        self.assertEqual(self.query("--dest", "203.0.113.7*"), [lines[0], lines[2]])
        self.assertEqual(self.query("--dest", "203.0.113.7", code=1), [])
        self.assertEqual(self.query("--container", "ma*", "--action", "allowed"), [lines[1]])
        self.assertEqual(self.query("--contains", "m\u00fcnchen"), [lines[2]])
        self.assertEqual(self.query("--action", "denied", "--output", "count"), ["2"])
        self.assertEqual(self.query("--action", "denied", "--output", "count", "--threads", "3"), ["2"])

    def test_patterns_and_addresses(self):
        dests = ["203.0.113.7:443", "203.0.113.70:443", "198.51.100.7:443", "[2001:db8::1]:443", "what?"]
        lines = self.log_of(*(line(f"2026-01-01T00:00:0{i}+00:00", dest=dest) for i, dest in enumerate(dests)))
        self.assertEqual(self.query("--dest", "203.*:443"), list(lines[:2]))
        self.assertEqual(self.query("--dest", "*.7:443"), [lines[0], lines[2]])
        self.assertEqual(self.query("--dest", "203.0.113.?:443"), [lines[0]])
        self.assertEqual(self.query("--dest", "what\\?"), [lines[4]])
        self.assertEqual(self.query("--address", "203.0.113.7"), [lines[0]])
        self.assertEqual(self.query("--address", "203.0.113.0/24"), list(lines[:2]))
        self.assertEqual(self.query("--address", "2001:db8::/32"), [lines[3]])
        self.assertEqual(self.query("--address", "[2001:db8::1]:443"), [lines[3]])
        self.assertIn("--address 203.0.113.0/24", self.run_annals("query", self.log, "--dest", "203.0.113.0/24", code=2)[1])
        self.assertIn("expected an IP address", self.run_annals("query", self.log, "--address", "cdn.example", code=2)[1])

    def test_a_text_is_found_whoever_escaped_it(self):
        lines = self.log_of('{"detail":"a\\u0026b"}', '{"detail":"say \\"closed\\""}', '{"action":"closed"}')
        self.assertEqual(self.query("--contains", "a&b"), [lines[0]])
        self.assertEqual(self.query("--contains", '"closed"'), list(lines[1:]))

    def test_a_count_by_records_says_so(self):
        self.log_of(line("2026-01-03T00:00:00+00:00"))
        for day in (1, 2):
            self.closed(day, "".join(line(f"2026-01-0{day}T00:{i // 60 % 60:02}:{i % 60:02}+00:00") + "\n" for i in range(1000)).encode())
        self.run_annals("archive", self.log)
        out, err = self.run_annals("query", self.log, "--output", "count")
        self.assertEqual(out, "2001\n")
        self.assertIn("2000 of these events were counted by the records", err)
        out, err = self.run_annals("query", self.log, "--output", "count", "--since", "2026-01-02", "--threads", "2")
        self.assertEqual(out, "1001\n")
        self.assertIn("1000 of these events", err)
        self.assertEqual(self.run_annals("query", self.log, "--output", "count", "--action", "denied"), ("2001\n", ""))
        self.assertIn("2001 events", self.run_annals("verify", self.log)[0])

    def test_damage_is_reported_in_events_and_times(self):
        self.log_of(line("2026-01-03T00:00:00+00:00"))
        path = self.closed(1, "".join(line(f"2026-01-01T00:{i // 60 % 60:02}:{i % 60:02}+00:00") + "\n" for i in range(1000)).encode())
        self.run_annals("archive", self.log)
        with open(path + ".zst", "r+b") as file:
            file.seek(100)
            file.write(b"\0" * 8)
        for command in ("query", "cat", "tail", "verify"):
            self.assertIn("audit-000001-20260101T000000Z.jsonl.zst: 1000 events between 2026-01-01T00:00:00+00:00 and "
                          "2026-01-01T00:16:39+00:00 cannot be read", self.run_annals(command, self.log, code=4)[1])

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

    def test_csv_runs_no_formula_in_spreadsheets_of_other_countries(self):
        values = ["\uff1d1+1", "\uff0b1", "\uff0d1", "\uff201", "x;=1+1", "x;\uff1d1", "x|=1", "x\t=1", "x\n=1", "x\r\n@1", 'x;"=1"', "a;b=c"]
        self.log_of(*(line("2026-01-01T00:00:00+00:00", detail=value) for value in values))
        done = subprocess.run([ANNALS, "query", self.log, "--output", "csv"], capture_output=True, check=True)
        rows = list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))
        self.assertEqual([row[4].replace("'", "") for row in rows[1:]], values)
        # Whatever separates cells, none begins like a formula.
        for separator in ",;|\t":
            for text in done.stdout.decode().replace("\r", "\n").split("\n"):
                for cell in text.split(separator):
                    self.assertNotRegex(cell.lstrip('"'), "^[=+@\uff1d\uff0b\uff0d\uff20]", text)

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
        out, err = self.run_annals("query", self.log, code=4)
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

    def test_the_exit_code_says_whether_events_were_found(self):
        self.log_of(line("2026-01-01T00:00:00+00:00"))
        for arguments in ((), ("--output", "count"), ("--output", "csv"), ("--threads", "2")):
            self.run_annals("query", self.log, "--action", "denied", *arguments, code=0)
            self.run_annals("query", self.log, "--action", "absent", *arguments, code=1)

    def test_events_without_a_time_are_counted_where_times_are_asked_for(self):
        self.log_of(line("2026-01-01T00:00:00+00:00"), line("yesterday"), '{"action":"denied"}', line("yesterday", action="other"))
        for threads in ("1", "2"):
            out, err = self.run_annals("query", self.log, "--since", "2026-01-01", "--action", "denied", "--threads", threads)
            self.assertEqual(len(out.splitlines()), 1)
            self.assertIn("2 events have no time that can be read", err)
        self.assertEqual(self.run_annals("query", self.log, "--action", "denied")[1], "")

    def closed(self, number, content, end=".jsonl"):
        path = os.path.join(self.directory, f"audit-{number:06}-2026010{number}T000000Z{end}")
        with open(path, "wb") as file:
            file.write(content)
        return path

    def test_a_segment_that_cannot_be_read_hides_no_others(self):
        texts = [line(f"2026-01-0{day}T00:00:00+00:00", n=day) for day in range(1, 6)]
        self.log_of(texts[4])
        for number in (1, 3):
            self.closed(number, texts[number - 1].encode() + b"\n")
        second = os.path.join(self.directory, "audit-000002-20260102T000000Z.jsonl")

        def dangling():
            os.symlink("nowhere", second)

        def directory():
            os.mkdir(second)

        def gzipped():
            self.closed(2, gzip.compress(texts[1].encode() + b"\n"), ".jsonl.zst")

        def forbidden():
            if os.geteuid() != 0:
                os.chmod(self.closed(2, texts[1].encode() + b"\n"), 0)
            else:
                os.symlink("/etc/shadow", second)

        for make in (dangling, directory, gzipped, forbidden):
            make()
            for arguments in (("query",), ("query", "--since", "2026-01-03"), ("query", "--threads", "2"), ("cat",), ("tail",)):
                out, err = self.run_annals(arguments[0], self.log, *arguments[1:], code=3)
                expected = {1, 3, 5} if "--since" not in arguments else {3, 5}
                self.assertEqual({json.loads(one)["n"] for one in out.splitlines()}, expected, (make.__name__, arguments))
                self.assertIn("audit-000002", err, (make.__name__, arguments))
            for path in (second, second + ".zst"):
                if os.path.isdir(path) and not os.path.islink(path):
                    os.rmdir(path)
                elif os.path.lexists(path):
                    os.remove(path)

    def test_a_segment_that_is_named_beside_its_log_is_read_once(self):
        self.log_of(line("2026-01-02T00:00:00+00:00"))
        closed = self.closed(1, line("2026-01-01T00:00:00+00:00").encode() + b"\n")
        open(self.log + ".lock", "wb").close()
        files = sorted(os.path.join(self.directory, name) for name in os.listdir(self.directory))
        for command in ("query", "cat"):
            out, err = self.run_annals(command, *files)
            self.assertEqual(len(out.splitlines()), 2)
            self.assertIn("belongs to the log", err)
            self.assertEqual(len(self.run_annals(command, closed)[0].splitlines()), 1)

    def test_a_file_that_is_named_twice_is_read_once(self):
        self.log_of(line("2026-01-02T00:00:00+00:00"))
        closed = self.closed(1, line("2026-01-01T00:00:00+00:00").encode() + b"\n")
        os.symlink(self.directory, self.directory + "-link")
        self.addCleanup(os.remove, self.directory + "-link")
        for names in ((self.log, self.directory + "/./audit.jsonl"), (self.log, closed.replace("/audit-", "//audit-")),
                      (self.directory + "-link/audit.jsonl", closed, self.log)):
            for command in ("query", "cat"):
                out, err = self.run_annals(command, *names)
                self.assertEqual(len(out.splitlines()), 2, names)
                self.assertIn("read once", err)

    def test_damage_changes_the_exit_code_of_every_reader_and_form(self):
        text = line("2026-01-03T00:00:00+00:00")

        def damaged_line():
            self.closed(2, text.encode() + b"\ngarbage\n")

        def missing():
            self.closed(3, text.encode() + b"\n")

        def no_segment():
            os.mkdir(os.path.join(self.directory, "audit-000002-20260102T000000Z.jsonl"))

        for make, code in ((damaged_line, 4), (missing, 4), (no_segment, 3)):
            for name in os.listdir(self.directory):
                os.remove(os.path.join(self.directory, name))
            self.log_of(text)
            self.closed(1, text.encode() + b"\n")
            make()
            for arguments in (("query",), ("query", "--output", "count"), ("query", "--output", "csv"), ("query", "--output", "pretty"),
                              ("query", "--output", "count", "--threads", "2"), ("query", "--since", "2026-01-01", "--threads", "2"),
                              ("tail",), ("tail", "-n", "30000"), ("verify",), ("cat",)):
                if make is damaged_line and arguments == ("cat",):
                    continue  # which gives all lines, events or not
                self.assertNotEqual(self.run_annals(arguments[0], self.log, *arguments[1:], code=code)[1], "", (make.__name__, arguments))

    def test_a_file_that_another_program_compressed_is_what_its_content_says(self):
        self.log_of(*(line("2026-01-01T00:00:00+00:00") for _ in range(1000)))
        named = os.path.join(self.directory, "rotated")
        subprocess.run(["zstd", "-q", self.log, "-o", named], check=True)
        self.assertEqual(self.run_annals("query", named, "--output", "count")[0], "1000\n")
        shown = json.loads(self.run_annals("segments", named, "--output", "json")[0])
        self.assertEqual((shown["state"], shown["events"], shown["bytes"]), ("compressed", 1000, os.path.getsize(self.log)))

    def test_segments_of_one_number_are_all_read_and_every_command_reports_them(self):
        text = line("2026-01-03T00:00:00+00:00")
        self.log_of(text)
        self.closed(1, text.encode() + b"\n")
        other = os.path.join(self.directory, "audit-000001-20251231T000000Z.jsonl")
        with open(other, "wb") as file:
            file.write(text.encode() + b"\n")
        for command in ("query", "cat", "tail", "verify"):
            out, err = self.run_annals(command, self.log, code=4)
            self.assertIn("number 1", err, command)
            if command != "verify":
                self.assertEqual(len(out.splitlines()), 3, command)
        self.assertIn("another segment has its number", self.run_annals("segments", self.log, code=4)[1])

    def test_cat_gives_an_incomplete_last_line_unless_it_is_being_written(self):
        torn = b'{"a":1}\n{"torn'
        named = os.path.join(self.directory, "audit.jsonl.1")
        for path in (named, self.closed(1, torn)):
            with open(path, "wb") as file:
                file.write(torn)
            self.assertEqual(self.run_annals("cat", path)[0].encode(), torn + b"\n")
        self.write(torn)
        os.utime(self.log, (1, 1))
        os.remove(os.path.join(self.directory, "audit-000001-20260101T000000Z.jsonl"))
        self.assertEqual(self.run_annals("cat", self.log)[0].encode(), torn + b"\n")

    def test_a_byte_order_mark_hides_no_event(self):
        text = line("2026-01-01T00:00:00+00:00")
        self.write(b"\xef\xbb\xbf" + text.encode() + b"\n")
        self.assertEqual(self.query("--since", "2026-01-01"), [text])
        self.assertEqual(self.run_annals("tail", self.log)[0], text + "\n")

    def test_files_in_other_forms_are_named(self):
        text = line("2026-01-01T00:00:00+00:00") + "\n"
        for content, what in ((text.encode("utf-16"), "UTF-16"), (lzma.compress(text.encode()), "xz"), (bz2.compress(text.encode()), "bzip2")):
            path = os.path.join(self.directory, "foreign")
            with open(path, "wb") as file:
                file.write(content)
            self.assertIn(what, self.run_annals("query", path, code=3)[1])

    def test_verify_reads_all_and_says_whether_there_is_damage(self):
        texts = [line(f"2026-01-0{day}T00:00:00+00:00", n=day) for day in range(1, 4)]
        self.log_of(texts[2])
        self.closed(1, texts[0].encode() + b"\n")
        plain = self.closed(2, (texts[1].encode() + b"\n") * 1000)
        self.assertRegex(self.run_annals("verify", self.log)[0], r": 1002 events, \d+ bytes of lines read: no damage\n$")
        subprocess.run(["zstd", "-q", "--rm", "--check", plain], check=True)
        self.assertIn("1002 events", self.run_annals("verify", self.log, "--threads", "2")[0])
        with open(plain + ".zst", "r+b") as file:
            file.seek(-6, os.SEEK_END)
            byte = file.read(1)
            file.seek(-6, os.SEEK_END)
            file.write(bytes([byte[0] ^ 1]))
        out, err = self.run_annals("verify", self.log, code=4)
        self.assertIn("damaged, see above", out)
        self.assertIn("audit-000002", err)
        for command in ("query", "cat", "tail"):
            self.run_annals(command, self.log, code=4)
        self.closed(3, texts[1].encode() + b"\n")
        os.remove(plain + ".zst")
        self.assertIn("segment 2", self.run_annals("verify", self.log, code=4)[1])
        self.run_annals("verify", self.log + "x", code=3)

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
