"""Uploads that are all under way, headers sent, before the first of them is whole; then they end one after the other.

So a server shows when it looks whether an object is there: one that looks at the end of an upload refuses all but the first,
whatever the timing. One that looks at its beginning takes them all.
"""

from __future__ import annotations

import io
import threading
from typing import Any

HOLD_S = 3.0
"""Longest wait for all to come to the gate. Servers that let one upload of an object begin after the other answer the others'
headers late: those come after the second that botocore waits for `100 Continue`."""

TURN_S = 0.25
"""Longest wait for the end of the upload before, which such a server may have put behind this one."""


class Gate:
    """Where so many uploads wait for each other, and then for their turn, which is the order in which they came."""

    def __init__(self, many: int) -> None:
        self._changed = threading.Condition()
        self._many = many
        self._is_open = False
        self._came: list[HeldBody] = []
        self._ended: set[HeldBody] = set()

    def wait(self, upload: HeldBody) -> None:
        """Return when it is the turn of `upload`."""
        with self._changed:
            place = len(self._came)
            self._came.append(upload)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_open or self._all_came(), HOLD_S)
            self._is_open = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended.issuperset(self._came[:place]), TURN_S * place)

    def end(self, upload: HeldBody) -> None:
        """`upload` was answered, before or after it had its turn."""
        with self._changed:
            self._ended.add(upload)
            self._changed.notify_all()

    def _all_came(self) -> bool:
        return len(self._ended.union(self._came)) >= self._many


class HeldBody(io.BytesIO):
    """The body of an upload that waits at `gate` before its first byte leaves. What is not bytes is sent by botocore with
    `Expect: 100-continue`, after the server has answered to the headers, or after a second."""

    def __init__(self, data: bytes, gate: Gate) -> None:
        super().__init__(data)
        self.is_sending = False
        """It is read before, too, for its signature."""
        self._gate = gate
        self._had_its_turn = False

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file."""
        if self.is_sending and not self._had_its_turn:
            self._had_its_turn = True
            self._gate.wait(self)
        return super().read(size)


def begin_to_send(request: Any, **_: Any) -> None:
    """What botocore calls before each attempt of an upload."""
    if isinstance(request.body, HeldBody):
        request.body.is_sending = True
