"""Concurrent uploads that have all sent their headers before the first one sends its body; then they finish one by one.

This shows when a server evaluates `If-None-Match`: a server that checks at the end of an upload refuses all but the first one,
whatever the timing. A server that checks at the beginning accepts them all.
"""

from __future__ import annotations

import io
import threading
from typing import Any

HOLD_S = 3.0
"""Longest wait until all uploads have reached the gate. Servers that serialise the uploads of an object answer the headers of the
later ones late: these arrive after the second that botocore waits for `100 Continue`."""

TURN_S = 0.25
"""Longest wait for the end of the previous upload, which such a server may have queued behind this one."""


class Gate:
    """A barrier at which `many` uploads wait for each other, and then for their turn, in the order of their arrival."""

    def __init__(self, many: int) -> None:
        self._changed = threading.Condition()
        self._many = many
        self._is_open = False
        self._came: list[HeldBody] = []
        self._ended: set[HeldBody] = set()

    def wait(self, upload: HeldBody) -> None:
        """Block until it is the turn of `upload`."""
        with self._changed:
            place = len(self._came)
            self._came.append(upload)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_open or self._all_came(), HOLD_S)
            self._is_open = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended.issuperset(self._came[:place]), TURN_S * place)

    def end(self, upload: HeldBody) -> None:
        """Record that the server has answered `upload`, before or after its turn."""
        with self._changed:
            self._ended.add(upload)
            self._changed.notify_all()

    def _all_came(self) -> bool:
        return len(self._ended.union(self._came)) >= self._many


class HeldBody(io.BytesIO):
    """The body of an upload that waits at `gate` before its first byte is sent. Bodies other than bytes are sent by botocore with
    `Expect: 100-continue`, after the server has answered to the headers, or after a second."""

    def __init__(self, data: bytes, gate: Gate) -> None:
        super().__init__(data)
        self.is_sending = False
        """False while botocore reads the body for its signature."""
        self._gate = gate
        self._had_its_turn = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like a file; the first read while sending waits at the gate."""
        if self.is_sending and not self._had_its_turn:
            self._had_its_turn = True
            self._gate.wait(self)
        return super().read(size)


def begin_to_send(request: Any, **_: Any) -> None:
    """Handler of botocore's event before each attempt of an upload."""
    if isinstance(request.body, HeldBody):
        request.body.is_sending = True
