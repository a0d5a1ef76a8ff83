"""Standard output and standard error of a program that survives the loss of their reader: a closed pipe or terminal, a full disk.

Text goes to the file descriptor at once, line by line. A failed write raises nothing; each stream records its first failure, for
`status.json` and for a message on the other stream.
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

from typing_extensions import override

READER_GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ECONNRESET, errno.ENOTCONN)
"""Errors of a pipe, a terminal or a connection that nobody will ever read again. A full disk may have room later."""

BUSY_S = 10.0
"""A reader of a non-blocking pipe that takes nothing for so long loses the text."""

_BUFFER_CHARACTERS = 2**16


@dataclass(frozen=True)
class OutputFailure:
    """The first failure to write to a stream."""

    stream: str
    """`standard output` or `standard error`."""
    reason: str
    reader_gone: bool
    at_unix_s: float

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.at_unix_s, UTC)
        return f"its output could not be written since {at:%Y-%m-%d %H:%M:%S} UTC ({self.stream}: {self.reason})"


class Output(io.TextIOBase):
    """A text stream on file descriptor 1 or 2 whose `write` never raises, whatever happens at the other end.

    Characters that the encoding lacks are written as escapes. Once its reader is gone the descriptor points to /dev/null, so
    that writes of libraries and child processes kill neither.
    """

    mode = "w"

    def __init__(self, fd: int, like: TextIO | None) -> None:
        super().__init__()
        self.failure: OutputFailure | None = None
        """None as long as every write succeeded."""
        self.is_announced = False
        """Whether the failure was reported to the user."""
        self._fd = fd
        self._encoding = (getattr(like, "encoding", None) or "utf-8") if like is not None else "utf-8"
        self._buffered = ""
        self._lock = threading.RLock()
        if like is None:
            self._fail(OSError(errno.EBADF, "closed"))

    def __reduce__(self) -> Any:
        """Pickled, it becomes the same stream of the other process."""
        return getattr, (sys, "stdout" if self._fd == 1 else "stderr")

    @property
    def name(self) -> str:
        """Python's name of the stream."""
        return "<stdout>" if self._fd == 1 else "<stderr>"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream that this one replaces."""
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        """How a character that the encoding lacks is written."""
        return "backslashreplace"

    @property
    def buffer(self) -> io.RawIOBase:
        """The same stream for bytes."""
        return _Bytes(self)

    def fileno(self) -> int:
        """The file descriptor, 1 or 2."""
        return self._fd

    def isatty(self) -> bool:
        """Whether the stream is a terminal that still exists."""
        return os.isatty(self._fd)

    @override
    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Write `text`, at its next line break or `flush`."""
        with self._lock:
            self._buffered += text
            if "\n" in text or "\r" in text or len(self._buffered) > _BUFFER_CHARACTERS:
                self.flush()
        return len(text)

    def flush(self) -> None:
        """Write the buffered text. Never raises."""
        with self._lock:
            buffered, self._buffered = self._buffered, ""
            if buffered:
                self.write_bytes(buffered.encode(self._encoding, "backslashreplace"))

    def close(self) -> None:
        """Flush; the descriptor stays open, because others may write to it."""
        self.flush()

    def write_bytes(self, data: bytes) -> None:
        """Write `data` now, or record why that failed."""
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
            _redirect_to_null(self._fd)


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
    """Replace `sys.stdout` and `sys.stderr` by `Output` streams. A descriptor that is closed is opened on /dev/null: otherwise the
    next file that is opened would get its number, and with it the text that others print."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            _redirect_to_null(fd)
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
    """The earliest failure of `streams` (default: standard output and standard error), None where every write succeeded."""
    failures = [getattr(stream, "failure", None) for stream in streams or (sys.stdout, sys.stderr)]
    found = [failure for failure in failures if isinstance(failure, OutputFailure)]
    return min(found, key=lambda failure: failure.at_unix_s, default=None)


@contextlib.contextmanager
def outliving_terminal() -> Iterator[None]:
    """During the block a terminal that closes ends neither this process nor its children: SIGHUP is ignored, as `nohup` does.
    Ignored signals are inherited, so a private Ray stays, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _redirect_to_null(fd: int) -> None:
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR)
        if null != fd:
            os.dup2(null, fd)
            os.close(null)
