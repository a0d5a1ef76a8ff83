"""An HTTP proxy before an S3 server that misbehaves on demand."""

from __future__ import annotations

import http.client
import math
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Action = Literal["status", "reset", "hang", "stall", "slow", "swallow", "flip", "html", "early"]


@dataclass
class Fault:
    """What to do to the next `times` requests whose "METHOD /path?query" matches `pattern`.

    status     answer with `status` and an S3 error of `code`
    reset      reset the connection
    hang       do not answer before the proxy closes
    stall      answer when the fault is over; what was asked is done then, even where nobody waits for it any more
    slow       forward after `delay_s`
    swallow    answer 200 to an upload, and forward nothing
    flip       forward an upload with its last byte changed
    html       answer 200 with a web page
    early      look whether an object is there when its upload begins, and not when it ends, as OpenStack Swift does
    """

    pattern: str
    action: Action
    times: int = 10**9
    status: int = 503
    code: str = "SlowDown"
    chance: float = 1.0
    """Share of the requests that match to which this is done, drawn from a stream that is the same every time."""
    delay_s: float = 0.0
    access_key: str = ""
    """Where this is given, only requests that are signed with it match."""
    ends_s: float = math.inf
    """On the monotonic clock; `FaultProxy.inject` sets it."""


@dataclass
class FaultProxy:
    """`endpoint_url` to give to a store; `faults` in force, the first that matches counts; `seen` requests with what was done.

    `stored` are the uploads that the server has confirmed, each with its time on the monotonic clock.
    """

    endpoint_url: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    stored: list[tuple[float, str]] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, action: str) -> int:
        """Requests to which `action` ("forward" for none) was done."""
        return sum(done == action for _, done in self.seen)

    def inject(self, fault: Fault, lasts_s: float = math.inf) -> None:
        """Let `fault` hold from now on, for so long."""
        fault.ends_s = time.monotonic() + lasts_s
        with self.lock:
            self.faults.append(fault)

    def choose(self, request: str, signed: str = "") -> Fault | None:
        """The fault for `request` with the signature `signed`, used up by one."""
        with self.lock:
            found = next((fault for fault in self.faults if self._holds(fault, request, signed)), None)
            if found:
                found.times -= 1
            self.seen.append((request, found.action if found else "forward"))
            return found

    def _holds(self, fault: Fault, request: str, signed: str) -> bool:
        in_force = fault.times > 0 and time.monotonic() < fault.ends_s
        meant = re.search(fault.pattern, request) and (not fault.access_key or f"={fault.access_key}/" in signed)
        return bool(in_force and meant and (fault.chance >= 1 or self.dice.random() < fault.chance))


@contextmanager
def fault_proxy(target_url: str, *faults: Fault) -> Iterator[FaultProxy]:
    """A proxy before the server at `target_url`, until the end of the block."""
    target = urlsplit(target_url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            signed = self.headers.get("Authorization", "")
            fault = proxy.choose(f"{self.command} {self.path}", signed)
            refused = bool(fault and fault.action == "early" and self.is_there())
            waits = self.headers.get("Expect", "").lower() == "100-continue"
            if waits and not refused:
                self.send_response_only(100)
                self.end_headers()
            body = b"" if waits and refused else self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if refused:
                self.reply(412, {"Content-Type": "application/xml"}, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
            if fault and fault.action in ("stall", "slow"):
                proxy.closing.wait(fault.delay_s if fault.action == "slow" else fault.ends_s - time.monotonic())
            match fault.action if fault else "forward":
                case "status":
                    code = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>no</Message></Error>"
                    self.reply(fault.status, {"Content-Type": "application/xml"}, code.encode())
                case "html":
                    self.reply(200, {"Content-Type": "text/html"}, b"<html><body><p>Welcome</p></body></html>")
                case "swallow":
                    self.reply(200, {"ETag": '"0"'}, b"")
                case "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                case "hang":
                    proxy.closing.wait()
                    self.close_connection = True
                case "flip":
                    self.forward(body[:-1] + bytes(byte ^ 1 for byte in body[-1:]))
                case "early":
                    del self.headers["If-None-Match"]
                    self.forward(body)
                case _:
                    self.forward(body)

        def handle_expect_100(self) -> bool:
            """Not yet: `answer` says when an upload may go on."""
            return True

        def is_there(self) -> bool:
            connection = http.client.HTTPConnection(target, timeout=30)
            connection.request("HEAD", self.path, headers={"Authorization": self.headers.get("Authorization", "")})
            status = connection.getresponse().status
            connection.close()
            return status == 200

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815

        def forward(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(target, timeout=30)
            # The Host header stays as the client signed it.
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in ("expect", "connection")
            }
            try:
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                data = response.read()
                if self.command == "PUT" and response.status == 200:
                    proxy.stored.append((time.monotonic(), self.path))
                self.reply(response.status, dict(response.getheaders()), data)
            finally:
                connection.close()

        def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = next(
                (value for name, value in headers.items() if name.lower() == "content-length"), str(len(body))
            )
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is what these tests are about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy = FaultProxy(f"http://127.0.0.1:{server.server_port}", list(faults))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.closing.set()
            server.shutdown()
            thread.join()
