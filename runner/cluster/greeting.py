"""Whether a Ray server listens at an address. Found out without Ray's client, which would wait for minutes."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from trainables.errors import ClusterError

RESOLVE_S, CONNECT_S, GREETING_S = 3.0, 3.0, 4.0
"""Bounds of the three steps: the name, the connection, the first bytes."""

SETTINGS = 4
"""The type of the frame that opens every HTTP/2 connection: gRPC, and so Ray, sends it to every client that connects."""


def check_greeting(places: Sequence[Any]) -> str:
    """Why no Ray server answers at the `places` of an address; "" if one greets as Ray does."""
    silence = "the connection took too long"
    end_s = time.monotonic() + CONNECT_S
    for family, kind, protocol, _, place in places:
        with socket.socket(family, kind, protocol) as link:
            link.settimeout(max(0.1, end_s - time.monotonic()))
            try:
                link.connect(place)
            except TimeoutError:
                continue
            except OSError as error:
                silence = (error.strerror or str(error)).lower()
                continue
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return ""  # a server of TLS waits for the other side to begin
            first = _first_bytes(link)
        if len(first) == 4 and first[3] == SETTINGS:
            return ""
        return f"what listens there {'is not Ray' if first else 'says nothing'}"
    return silence


def resolve(host: str, port: int) -> list[Any]:
    """The socket addresses of a host name. Resolved in a thread, because a dead name server blocks the caller for half a minute."""
    found: list[Any] = []
    why = [f"no name server answered within {RESOLVE_S:g} s"]

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            why[0] = getattr(error, "strerror", None) or str(error)

    asker = threading.Thread(target=ask, name="resolve", daemon=True)
    asker.start()
    asker.join(RESOLVE_S)
    if not found:
        raise ClusterError(
            f"the Ray cluster at {host}:{port} cannot be found: {host!r} is no host that is known here ({why[0]})"
        )
    return list(found)


def _first_bytes(link: socket.socket) -> bytes:
    """The first four bytes that the server sends unasked, or fewer if it sends none in time."""
    found = b""
    end_s = time.monotonic() + GREETING_S
    with contextlib.suppress(OSError):
        while len(found) < 4 and (left_s := end_s - time.monotonic()) > 0:
            link.settimeout(left_s)
            more = link.recv(4 - len(found))
            if not more:
                break
            found += more
    return found
