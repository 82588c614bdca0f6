#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""syslog_test.py DRIVER PLUGIN: the sink syslog, read by a real rsyslogd and by small receivers of our own."""
import errno
import json
import os
import re
import select
import signal
import socket
import subprocess
import time

from driven import HOSTILE, Sink, SinkTest, encoded, line_of, main, wait_or_kill

# How the sink shows what receivers would change: see plugins/display/display.h.
NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\\\\\u2028-\u202e\ufeff]")


def visible(text):
    return UNSEEN.sub(lambda m: NAMED.get(m.group(), f"\\u{ord(m.group()):04x}"), text)


def parameter(name, value):
    return f' {name}="' + re.sub(r'(["\\\]])', r"\\\1", visible(value)) + '"'


def structured_data(event, sequence):
    out = "[annals@32473" + parameter("seq", str(sequence))
    for name in ("container", "action", "dest"):
        if name in event:
            out += parameter(name, event[name])
    return out + "]"


def message_id(action):
    return re.sub("[^!-~]", "_", action.encode()[:32].decode("latin-1")) or "-"


def expected_record(line, sequence):
    """What rsyslogd must have understood."""
    event = json.loads(line)
    return {"pri": "109", "time": event["ts"], "host": "testhost", "app": "annals", "msgid": message_id(event["action"]),
            "sd": structured_data(event, sequence), "msg": line}


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]


class Rsyslogd:
    """The real one, in the foreground, with everything it has in the test's directory."""

    def __init__(self, test, module, source):
        self.test, self.module, self.source = test, module, source
        self.output = test.path("received")
        self.configuration = test.path("rsyslog.conf")
        properties = {"pri": "pri", "time": "timereported:::date-rfc3339", "host": "hostname", "app": "app-name", "pid": "procid",
                      "msgid": "msgid", "sd": "structured-data", "msg": "msg"}
        constant = 'constant(value="%s")'
        parts, separator = [], "{"
        for name, source_property in properties.items():
            base, _, date = source_property.partition(":::")
            extra = f' dateFormat="rfc3339"' if date else ""
            parts.append(constant % f'{separator}\\"{name}\\":\\"' + f' property(name="{base}" format="json"{extra}) ' + constant % '\\"')
            separator = ","
        template = " ".join(parts) + " " + constant % "}\\n"
        with open(self.configuration, "w") as file:
            file.write(f'global(workDirectory="{test.directory}" maxMessageSize="2m" parser.escapeControlCharactersOnReceive="off")\n'
                       f"module(load=\"{module}\")\n{source}\n"
                       f'template(name="record" type="list") {{ {template} }}\n'
                       f'action(type="omfile" file="{self.output}" template="record" asyncWriting="off" flushOnTXEnd="on")\n')
        self.process = None
        test.addCleanup(self.stop)

    def start(self, is_ready):
        self.process = subprocess.Popen(["/usr/sbin/rsyslogd", "-n", "-f", self.configuration, "-i", self.test.path("pid")],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.test.wait_for("rsyslogd", lambda: is_ready() or self.has_ended())

    def has_ended(self):
        if self.process.poll() is not None:
            raise AssertionError("rsyslogd ended: " + self.process.stdout.read().decode())
        return False

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            wait_or_kill(self.process)
            self.process = None

    def records(self):
        """What has arrived of our messages."""
        if not os.path.exists(self.output):
            return []
        with open(self.output, "rb") as file:
            complete = file.read().rpartition(b"\n")[0].split(b"\n")
        found = [json.loads(line, strict=False) for line in complete if line]
        return [record for record in found if record["app"] == "annals"]


class SyslogTest(SinkTest):
    def is_listening(self, port):
        def look():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        return look

    def is_bound(self, port):
        """A UDP port is taken."""
        def look():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    return True
                return False
        return look

    def receiver(self, transport, framing=None):
        """An rsyslogd for the transport: the daemon, how to see that it is ready, the sink's options."""
        if transport == "unix":
            path = self.path("log")
            daemon = Rsyslogd(self, "imuxsock\" SysSock.Use=\"off",
                              f'input(type="imuxsock" Socket="{path}" UseSpecialParser="off" ParseHostname="on" IgnoreTimestamp="off" '
                              'RateLimit.Interval="0")')
            return daemon, lambda: os.path.exists(path), {"address": path}
        if transport == "udp":
            port = free_port(socket.SOCK_DGRAM)
            daemon = Rsyslogd(self, "imudp", f'input(type="imudp" address="127.0.0.1" port="{port}" rcvbufSize="4m")')
            return daemon, self.is_bound(port), {"transport": "udp", "address": f"127.0.0.1:{port}"}
        port = free_port(socket.SOCK_STREAM)
        daemon = Rsyslogd(self, "imtcp", f'input(type="imtcp" address="127.0.0.1" port="{port}")')
        return daemon, self.is_listening(port), {"transport": "tcp", "address": f"127.0.0.1:{port}", "framing": framing}

    def sink(self, options, **more):
        made = Sink(self, {"hostname": "testhost", **options, **more}, stderr=subprocess.DEVNULL)
        self.assertEqual(made.created, "ok")
        return made

    def check_thousand(self, transport, framing=None):
        daemon, is_ready, options = self.receiver(transport, framing)
        daemon.start(is_ready)
        sink = self.sink(options)
        lines = [line_of(i) for i in range(1000)]
        for i in range(0, 1000, 5):
            self.assertEqual(sink.write(*lines[i:i + 5]), "ok")
            if transport == "udp" and i % 50 == 0:  # UDP has no back pressure: no more on the way than the receiver's buffer holds
                self.wait_for("the messages", lambda: len(daemon.records()) >= i)
        self.wait_for("all messages", lambda: len(daemon.records()) >= 1000)
        got = daemon.records()
        for i, (line, record) in enumerate(zip(lines, got)):
            self.assertEqual(record.pop("pid"), str(sink.process.pid))
            self.assertEqual({**record, "msg": record["msg"].removeprefix(" ")}, expected_record(line, i + 1))
        self.assertEqual(len(got), 1000)
        self.assertEqual(sink.ask("position"), f"ok 1 {sum(len(line) + 1 for line in lines)}")

    def test_a_thousand_hostile_events_reach_rsyslogd_over_a_unix_socket(self):
        self.check_thousand("unix")

    def test_a_thousand_hostile_events_reach_rsyslogd_over_udp(self):
        self.check_thousand("udp")

    def test_a_thousand_hostile_events_reach_rsyslogd_over_tcp_with_octet_counting(self):
        self.check_thousand("tcp", "octet_counting")

    def test_a_thousand_hostile_events_reach_rsyslogd_over_tcp_with_newlines(self):
        self.check_thousand("tcp", "newline")

    def restart(self, transport):
        """300 messages, the receiver gone for 20, 300 more: the failures are what is missing, and nothing else."""
        daemon, is_ready, options = self.receiver(transport, *(["octet_counting"] if transport == "tcp" else []))
        daemon.start(is_ready)
        sink = self.sink(options)
        lines = [line_of(i) for i in range(620)]
        for line in lines[:300]:
            self.assertEqual(sink.write(line), "ok")
        self.wait_for("the first", lambda: len(daemon.records()) == 300)
        daemon.stop()
        answers = [sink.write(line) for line in lines[300:320]]
        self.assertEqual([a for a in answers if a == "ok"], [])
        daemon.start(is_ready)
        self.assertEqual(sink.ask("reopen"), "ok")  # ends a pause, should a refusal have taken long
        for line in lines[320:]:
            self.assertEqual(sink.write(line), "ok")
        self.wait_for("the last", lambda: len(daemon.records()) == 600)
        self.assertEqual([r["msg"].removeprefix(" ") for r in daemon.records()], lines[:300] + lines[320:])

    def test_a_restart_of_rsyslogd_loses_what_failed_and_nothing_else_over_tcp(self):
        self.restart("tcp")

    def test_a_restart_of_rsyslogd_loses_what_failed_and_nothing_else_over_a_unix_socket(self):
        self.restart("unix")

    def test_what_a_killed_rsyslogd_takes_with_it_is_the_last_before_its_death_was_noticed(self):
        daemon, is_ready, options = self.receiver("tcp", "octet_counting")
        daemon.start(is_ready)
        sink = self.sink(options)
        lines = [line_of(i) for i in range(2000)]
        accepted, noticed = [], None
        for i, line in enumerate(lines):
            if i == 1000:
                daemon.process.kill()  # and go on while it dies
            if i == 1500:
                daemon.stop()
                daemon.start(is_ready)
                self.assertEqual(sink.ask("reopen"), "ok")
            answer = sink.write(line)
            if answer == "ok":
                accepted.append(i)
            if noticed is None and (answer != "ok" or sink.notices):
                noticed = i
        self.assertGreater(len(accepted), 1400)
        self.wait_for("the last", lambda: any(r["msg"].removeprefix(" ") == lines[-1] for r in daemon.records()))
        numbers = {line: i for i, line in enumerate(lines)}
        received = [numbers[r["msg"].removeprefix(" ")] for r in daemon.records()]
        self.assertEqual(received, sorted(set(received)))  # in order, none twice
        self.assertEqual(set(received) - set(accepted), set())  # what failed is not there
        missing = sorted(set(accepted) - set(received))
        self.assertEqual(missing, list(range(noticed - len(missing), noticed)))

    # --- receivers of our own -----------------------------------------------------------------------------------------

    def listen(self, family, address, kind=socket.SOCK_STREAM):
        server = socket.socket(family, kind)
        self.addCleanup(server.close)
        server.settimeout(30)
        if family != socket.AF_UNIX:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        if kind == socket.SOCK_STREAM:
            server.listen(8)
        return server

    def accept(self, server):
        client, _ = server.accept()
        client.settimeout(30)
        self.addCleanup(client.close)
        return client

    @staticmethod
    def frames(client, count):
        """So many messages off a stream with octet counting."""
        found = []
        with client.makefile("rb") as stream:
            for _ in range(count):
                digits = b""
                while (c := stream.read(1)) != b" ":
                    digits += c
                found.append(stream.read(int(digits)).decode())
        return found

    def test_a_unix_stream_socket_gets_whole_frames_in_order(self):
        server = self.listen(socket.AF_UNIX, self.path("s"))
        sink = self.sink({"transport": "unix_stream", "address": self.path("s")})
        lines = [line_of(i) for i in range(1000)]
        self.assertEqual(sink.write(*lines[:10]), "ok")
        client = self.accept(server)
        for i in range(10, 1000, 10):
            sink.process.stdin.write("write 10\n" + "\n".join(lines[i:i + 10]) + "\n")
            sink.process.stdin.flush()
            if i == 10:
                got = self.frames(client, 20)
            else:
                got += self.frames(client, 10)
            self.assertEqual(sink.answer(), "ok")
        for i, (line, message) in enumerate(zip(lines, got)):
            event = json.loads(line)
            self.assertEqual(message, f"<109>1 {event['ts']} testhost annals {sink.process.pid} {message_id(event['action'])} "
                                      f"{structured_data(event, i + 1)} {line}")

    def test_a_message_may_be_as_long_as_a_line(self):
        server = self.listen(socket.AF_UNIX, self.path("s"))
        sink = self.sink({"transport": "unix_stream", "address": self.path("s")})
        line = line_of(1, detail="\x00]\"\\" * 100000)
        sink.process.stdin.write(f"write 1\n{line}\n")
        sink.process.stdin.flush()
        message = self.frames(self.accept(server), 1)[0]
        self.assertEqual(sink.answer(), "ok")
        self.assertTrue(message.endswith(" " + line))

    def datagram(self, options, line):
        server = self.listen(socket.AF_UNIX, self.path("d"), socket.SOCK_DGRAM)
        sink = self.sink({"address": self.path("d"), **options})
        self.assertEqual(sink.write(line), "ok")
        return server.recv(65536).decode(), sink

    def test_every_option_of_the_format_is_in_the_message(self):
        line = encoded({"ts": "2026-11-23T09:00:00+00:00", "container": "web", "action": "two words", "detail": "grün\n"})
        message, sink = self.datagram({"facility": "local7", "severity": "debug", "app_name": "shop", "hostname": "h.example",
                                       "sd_id": "me@1.2", "message": "detail"}, line)
        self.assertEqual(message, f'<191>1 2026-11-23T09:00:00+00:00 h.example shop {sink.process.pid} two_words '
                                  '[me@1.2 seq="1" container="web" action="two words"] \ufeffgrün\\n')

    def test_an_event_without_anything_is_a_message_all_the_same(self):
        message, sink = self.datagram({"structured_data": False, "message": "detail"}, "{}")
        self.assertEqual(message, f"<109>1 - testhost annals {sink.process.pid} - -")

    def test_a_message_too_long_for_a_datagram_fails_and_is_never_cut(self):
        server = self.listen(socket.AF_UNIX, self.path("d"), socket.SOCK_DGRAM)
        sink = self.sink({"address": self.path("d")})
        answer = sink.write(line_of(1), line_of(2, detail="x" * 9000))
        self.assertRegex(answer, r"cannot send event 2 to the Unix socket .* expected at most 8192")
        self.assertEqual(sink.write(line_of(3)), "ok")
        self.assertIn('seq="3"', server.recv(65536).decode())  # and nothing of the refused batch
        udp = self.listen(socket.AF_INET, ("127.0.0.1", 0), socket.SOCK_DGRAM)
        sink = self.sink({"transport": "udp", "address": f"127.0.0.1:{udp.getsockname()[1]}", "max_message_bytes": "1MiB"})
        self.assertRegex(sink.write(line_of(2, detail="x" * 70000)), rf"failed 2 {errno.EMSGSIZE} .*in one datagram")
        self.assertEqual(sink.write(line_of(3)), "ok")

    def test_nobody_there_fails_at_once_and_the_sink_goes_on_when_somebody_is(self):
        port = free_port(socket.SOCK_STREAM)
        udp_port = free_port(socket.SOCK_DGRAM)
        cases = [({"address": self.path("d")}, errno.ENOENT, lambda: self.listen(socket.AF_UNIX, self.path("d"), socket.SOCK_DGRAM)),
                 ({"transport": "unix_stream", "address": self.path("s")}, errno.ENOENT, lambda: self.listen(socket.AF_UNIX, self.path("s"))),
                 ({"transport": "tcp", "address": f"127.0.0.1:{port}"}, errno.ECONNREFUSED,
                  lambda: self.listen(socket.AF_INET, ("127.0.0.1", port))),
                 ({"transport": "udp", "address": f"127.0.0.1:{udp_port}"}, errno.ECONNREFUSED,
                  lambda: self.listen(socket.AF_INET, ("127.0.0.1", udp_port), socket.SOCK_DGRAM))]
        for options, code, appear in cases:
            with self.subTest(**options):
                sink = self.sink(options)
                start = time.monotonic()
                self.assertRegex(sink.write(line_of(1)), rf"^failed 2 {code} cannot ")
                self.assertLess(time.monotonic() - start, 4)
                appear()
                self.wait_for("a success", lambda: sink.write(line_of(2)) == "ok")
                self.assertEqual(sink.end(), 0)

    def test_a_receiver_that_reads_nothing_costs_the_timeout_once_and_then_a_pause(self):
        for kind, options in ((socket.SOCK_DGRAM, {"address": self.path("d")}),
                              (socket.SOCK_STREAM, {"transport": "unix_stream", "address": self.path("s")})):
            with self.subTest(**options):
                server = self.listen(socket.AF_UNIX, options["address"], kind)
                sink = self.sink(options, timeout="300ms", max_message_bytes="64KiB")
                line = line_of(1, padding="x" * 30000)
                start, answer = time.monotonic(), "ok"
                while answer == "ok":
                    start = time.monotonic()
                    answer = sink.write(line)
                took = time.monotonic() - start
                self.assertRegex(answer, rf"^failed 2 {errno.ETIMEDOUT} .*nothing came of it in 300 ms")
                self.assertGreater(took, 0.28)
                self.assertLess(took, 3)
                start = time.monotonic()
                for _ in range(50):
                    self.assertRegex(sink.write(line), rf"^failed 2 {errno.EAGAIN} not tried, .*nothing came of it")
                self.assertLess(time.monotonic() - start, 2.5)
                server.close()

    def test_a_torn_frame_is_the_last_of_its_connection(self):
        server = self.listen(socket.AF_UNIX, self.path("s"))
        sink = self.sink({"transport": "unix_stream", "address": self.path("s"), "timeout": "200ms", "retry_pause_max": "0s"})
        self.assertRegex(sink.write(line_of(1, padding="x" * 900000)), "bytes were sent, and the connection was closed")
        first = self.accept(server)
        torn = b""
        while chunk := first.recv(65536):
            torn += chunk
        count = int(torn.split(b" ")[0])
        self.assertLess(len(torn), count)
        self.assertEqual(sink.write(line_of(2)), "ok")
        self.assertIn('seq="2"', self.frames(self.accept(server), 1)[0])

    def test_a_receiver_that_closed_is_noticed_before_the_next_message(self):
        for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, self.path("s"))):
            for is_reset in (False, True):
                if family == socket.AF_UNIX and is_reset:
                    continue
                with self.subTest(family=family, reset=is_reset):
                    server = self.listen(family, address)
                    where = server.getsockname()
                    options = ({"transport": "unix_stream", "address": where} if family == socket.AF_UNIX
                               else {"transport": "tcp", "address": f"127.0.0.1:{where[1]}"})
                    sink = self.sink(options)
                    self.assertEqual(sink.write(line_of(1)), "ok")
                    first = self.accept(server)
                    self.frames(first, 1)
                    if is_reset:
                        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    first.close()
                    self.assertEqual(sink.write(line_of(2)), "ok")
                    self.assertIn('seq="2"', self.frames(self.accept(server), 1)[0])
                    self.assertEqual(len(sink.notices), 1, sink.notices)
                    self.assertIn("may be lost", sink.notices[0])
                    self.assertEqual(sink.ask("sigpipe"), "ok 00")

    def test_ipv6_is_written_in_brackets(self):
        try:
            server = self.listen(socket.AF_INET6, ("::1", 0))
        except OSError as failed:
            self.skipTest(f"this machine has no IPv6 loopback address: {failed}")
        sink = self.sink({"transport": "tcp", "address": f"[::1]:{server.getsockname()[1]}"})
        self.assertEqual(sink.write(line_of(1)), "ok")
        self.assertIn('seq="1"', self.frames(self.accept(server), 1)[0])

    def test_a_forked_child_has_a_connection_and_a_process_id_of_its_own(self):
        server = self.listen(socket.AF_UNIX, self.path("s"))
        sink = self.sink({"transport": "unix_stream", "address": self.path("s")})
        self.assertEqual(sink.write(line_of(1)), "ok")
        parent = self.accept(server)
        child = sink.ask("fork-write", line_of(2)).removeprefix("ok ")
        self.assertEqual(sink.write(line_of(3)), "ok")
        own = self.frames(self.accept(server), 1)[0]
        self.assertIn(f" annals {child} ", own)
        self.assertIn('seq="2"', own)
        seen = self.frames(parent, 2)
        self.assertEqual([re.search('seq="(.)"', m).group(1) for m in seen], ["1", "3"])
        self.assertEqual(sink.notices, [])

    def test_a_socket_that_the_process_closes_is_made_again_and_has_a_high_number(self):
        for kind, options in ((socket.SOCK_DGRAM, {"address": self.path("d")}),
                              (socket.SOCK_STREAM, {"transport": "unix_stream", "address": self.path("s")})):
            server = self.listen(socket.AF_UNIX, options["address"], kind)
            sink = self.sink(options)
            self.assertEqual(sink.write(line_of(1)), "ok")
            self.assertGreaterEqual(int(sink.ask("close").removeprefix("ok ")), 96)
            self.assertEqual(sink.write(line_of(2)), "ok")
            if kind == socket.SOCK_DGRAM:
                self.assertIn('seq="1"', server.recv(65536).decode())
                self.assertIn('seq="2"', server.recv(65536).decode())
            else:
                self.assertIn('seq="1"', self.frames(self.accept(server), 1)[0])
                self.assertIn('seq="2"', self.frames(self.accept(server), 1)[0])
            self.assertEqual(sink.notices, [])

    def test_nothing_is_opened_before_the_first_write(self):
        server = self.listen(socket.AF_UNIX, self.path("s"))
        sink = self.sink({"transport": "unix_stream", "address": self.path("s")})
        self.assertEqual(sink.ask("sync"), "ok")
        self.assertEqual(select.select([server], [], [], 0)[0], [])
        self.assertFalse([fd for fd in os.listdir(f"/proc/{sink.process.pid}/fd")
                          if os.readlink(f"/proc/{sink.process.pid}/fd/{fd}").startswith("socket:")])

    def test_options_that_make_no_sense_are_all_named(self):
        wrong = {"transport": "tcp", "address": "::1", "framing": "xml", "facility": "audits", "severity": "bad", "app_name": "a b",
                 "hostname": "a b", "sd_id": "annals", "structured_data": "yes", "message": "all", "timeout": 5,
                 "max_message_bytes": 3, "retry_pause_max": "-1s", "adress": "x"}
        sink = Sink(self, wrong, stderr=subprocess.DEVNULL)
        for name in wrong.keys() - {"transport"}:
            self.assertIn(f"$.sink.{name}: ", sink.created)
        for options, said in (({"transport": "udp"}, "$.sink.address: missing"), ({"address": "log"}, "an absolute path"),
                              ({"address": "/" + "x" * 108}, "up to 107 bytes"), ({"framing": "newline"}, "no framing with datagrams"),
                              ({"transport": "udp", "address": "h:99999"}, "HOST:PORT")):
            with self.subTest(**options):
                self.assertIn(said, Sink(self, options, stderr=subprocess.DEVNULL).created)


main()
