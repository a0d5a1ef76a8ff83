"""Standard output and standard error of a program that outlives their reader: a closed pipe or terminal, a full disk.

What is written goes to the file descriptor at once, line by line. Where that fails nothing is raised; the first failure of each is
remembered, for `status.json` and for a person who can still be reached by the other one.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

READER_GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ECONNRESET, errno.ENOTCONN)
"""A pipe, a terminal or a connection that nobody reads any more, and never will again. A full disk may have room later."""

BUSY_S = 10.0
"""A reader of a non-blocking pipe that takes nothing for so long misses what it was to be told."""

_LONGEST_HELD = 2**16


@dataclass(frozen=True)
class OutputFailure:
    """The first thing that could not be written."""

    stream: str
    """`standard output` or `standard error`."""
    reason: str
    reader_gone: bool
    at_unix_s: float

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.at_unix_s, UTC)
        return f"its output could not be written since {at:%Y-%m-%d %H:%M:%S} UTC ({self.stream}: {self.reason})"


class Output(io.TextIOBase):
    """A text stream on the file descriptor 1 or 2 whose `write` never raises for what the other end does.

    Characters that the encoding lacks are written as escapes. Once its reader is gone the descriptor leads nowhere, so
    that what libraries and child processes write to it kills neither.
    """

    mode = "w"

    def __init__(self, fd: int, like: TextIO | None) -> None:
        super().__init__()
        self.failure: OutputFailure | None = None
        """None as long as all was written."""
        self.is_announced = False
        """Whether a person was told of it."""
        self._fd = fd
        self._encoding = (getattr(like, "encoding", None) or "utf-8") if like is not None else "utf-8"
        self._held = ""
        self._lock = threading.RLock()
        if like is None:
            self._fail(OSError(errno.EBADF, "closed"))

    def __reduce__(self) -> Any:
        """In another process it is that process's own."""
        return getattr, (sys, "stdout" if self._fd == 1 else "stderr")

    @property
    def name(self) -> str:
        """As Python calls it."""
        return "<stdout>" if self._fd == 1 else "<stderr>"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream in whose place this one is."""
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What becomes of a character that the encoding lacks."""
        return "backslashreplace"

    @property
    def buffer(self) -> io.RawIOBase:
        """The same for bytes."""
        return _Bytes(self)

    def fileno(self) -> int:
        """1 or 2."""
        return self._fd

    def isatty(self) -> bool:
        """Whether it is a terminal that is still there."""
        return os.isatty(self._fd)

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Write `text`, at its next line break or `flush`."""
        with self._lock:
            self._held += text
            if "\n" in text or "\r" in text or len(self._held) > _LONGEST_HELD:
                self.flush()
        return len(text)

    def flush(self) -> None:
        """Write what is held. Never raises."""
        with self._lock:
            held, self._held = self._held, ""
            if held:
                self.write_bytes(held.encode(self._encoding, "backslashreplace"))

    def close(self) -> None:
        """Flush; the descriptor stays open, as there may be others who write to it."""
        self.flush()

    def write_bytes(self, data: bytes) -> None:
        """Write `data` now, or remember why that cannot be."""
        with self._lock:
            left = memoryview(data)
            while left:
                try:
                    left = left[os.write(self._fd, left) :]
                except BlockingIOError as error:
                    if not select.select([], [self._fd], [], BUSY_S)[1]:
                        self._fail(error)
                        return
                except OSError as error:
                    self._fail(error)
                    return

    def _fail(self, error: OSError) -> None:
        gone = error.errno in READER_GONE
        if self.failure is None:
            reason = "its reader is gone" if error.errno == errno.EPIPE else error.strerror or str(error)
            self.failure = OutputFailure(
                "standard output" if self._fd == 1 else "standard error", reason, gone, time.time()
            )
        if gone:
            _lead_nowhere(self._fd)


class _Bytes(io.RawIOBase):
    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._output.fileno()

    def write(self, data: Any) -> int:
        self._output.flush()
        self._output.write_bytes(bytes(data))
        return len(data)


def outlive_readers() -> None:
    """From now on `sys.stdout` and `sys.stderr` are such streams. A descriptor that is closed leads nowhere: else the next file that
    is opened would get its number, and with it what others print."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            _lead_nowhere(fd)
            if fd:
                setattr(sys, "stdout" if fd == 1 else "stderr", None)
    for fd, name in ((1, "stdout"), (2, "stderr")):
        before = getattr(sys, name)
        if not isinstance(before, Output):
            if before is not None:
                with contextlib.suppress(OSError, ValueError):
                    before.flush()
            setattr(sys, name, Output(fd, before))


def find_output_failure(*streams: Any) -> OutputFailure | None:
    """The earliest failure of `streams` (left out: of standard output and standard error), None where all was written."""
    failures = [getattr(stream, "failure", None) for stream in streams or (sys.stdout, sys.stderr)]
    found = [failure for failure in failures if isinstance(failure, OutputFailure)]
    return min(found, key=lambda failure: failure.at_unix_s, default=None)


@contextlib.contextmanager
def outliving_terminal() -> Iterator[None]:
    """For the time of the block a terminal that closes ends neither this process nor those that it starts: SIGHUP is ignored, as `nohup`
    has it. Ignored signals are inherited, so a Ray of our own stays, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _lead_nowhere(fd: int) -> None:
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != fd:
            os.dup2(nowhere, fd)
            os.close(nowhere)
