"""The metadata services of AWS (version 2, with its tokens) and of Google, as a real HTTP server on this machine."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class MetadataService:
    """What it says. `notice` is empty while nobody takes the machine away."""

    port: int = 0
    notice: str = ""
    tokens: set[str] = field(default_factory=set)
    asked: threading.Event = field(default_factory=threading.Event)
    """Set once somebody asked for a notice."""

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Status and body, as the real ones have them."""
        if path == "/latest/api/token":
            if method != "PUT" or not headers.get("x-aws-ec2-metadata-token-ttl-seconds", "").isdigit():
                return 400, ""
            self.tokens.add(token := secrets.token_hex(8))
            return 200, token
        if path == "/latest/meta-data/spot/instance-action":
            if headers.get("x-aws-ec2-metadata-token") not in self.tokens:
                return 401, ""
            self.asked.set()
            return (200, self.notice) if self.notice else (404, "")
        if path == "/computeMetadata/v1/instance/preempted":
            if headers.get("metadata-flavor") != "Google":
                return 403, ""
            self.asked.set()
            return 200, "TRUE" if self.notice else "FALSE"
        return 404, ""


@contextlib.contextmanager
def serving_metadata() -> Iterator[MetadataService]:
    """A service while the block runs."""
    service = MetadataService()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body = service.answer(self.command, self.path, headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_PUT = answer  # noqa: N815  the names that http.server asks for

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
