#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""syslog_check_test.py ANNALS PLUGIN: `annals plugin check` on the sink syslog, over each of its transports.

The check cannot see what a receiver got, so whether the lines arrive is not checked by it; syslog_test.py checks that.
"""
import json
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

ANNALS, PLUGIN = (os.path.abspath(p) for p in sys.argv[1:3])


class Receiver(threading.Thread):
    """Takes whatever comes, from whoever connects."""

    def __init__(self, family, kind, address):
        super().__init__()
        self.server = socket.socket(family, kind)
        self.server.bind(address)
        self.server.setblocking(False)
        if kind == socket.SOCK_STREAM:
            self.server.listen(4096)  # where it is full, a connection waits a second for the next try
        self.is_stream = kind == socket.SOCK_STREAM
        self.bytes = 0
        self.end, self.told = socket.socketpair()
        self.start()

    def run(self):
        opened = {self.server, self.end}
        while True:
            for ready in select.select(opened, [], [])[0]:
                if ready is self.end:
                    for one in opened:
                        one.close()
                    return
                try:
                    if ready is self.server and self.is_stream:
                        opened.add(ready.accept()[0])
                        continue
                    got = len(ready.recv(1 << 22))
                except BlockingIOError:
                    continue
                except ConnectionResetError:
                    got = 0
                self.bytes += got
                if got == 0 and ready is not self.server:
                    opened.discard(ready)
                    ready.close()

    def stop(self):
        self.told.send(b"x")
        self.join()
        self.told.close()


class SyslogCheckTest(unittest.TestCase):
    def check(self, family, kind, transport, address):
        receiver = Receiver(family, kind, address)
        self.addCleanup(receiver.stop)
        bound = receiver.server.getsockname()
        options = {"transport": transport, "address": bound if isinstance(bound, str) else f"{bound[0]}:{bound[1]}"}
        done = subprocess.run([ANNALS, "plugin", "check", PLUGIN, "--options", json.dumps(options), "--deadline", "60s"],
                              capture_output=True, text=True, timeout=500)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, said)
        unproven = re.findall(r"^not checked +(\w+)\n +(.*)$", done.stdout, re.M)
        for case, why in unproven:
            with self.subTest(case=case):
                self.assertRegex(why, "be seen|sanitizer", said)
        self.assertGreater(receiver.bytes, 1000000)

    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="annals-sink-")
        self.addCleanup(holder.cleanup)
        self.path = os.path.join(holder.name, "s")

    def test_over_a_unix_socket(self):
        self.check(socket.AF_UNIX, socket.SOCK_DGRAM, "unix", self.path)

    def test_over_a_unix_stream_socket(self):
        self.check(socket.AF_UNIX, socket.SOCK_STREAM, "unix_stream", self.path)

    def test_over_udp(self):
        self.check(socket.AF_INET, socket.SOCK_DGRAM, "udp", ("127.0.0.1", 0))

    def test_over_tcp(self):
        self.check(socket.AF_INET, socket.SOCK_STREAM, "tcp", ("127.0.0.1", 0))


unittest.main(argv=[sys.argv[0], "-v"])
