"""Notices that Ray has died under a run, and ends the run with a message before Ray's client ends the process without one."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from runner.cluster.supervise import CUT_SHORT, report_end
from trainables.errors import RunCutShort

EVERY_S, OVER_THE_NET_S = 1.0, 5.0
"""Intervals between checks: of processes on this machine, and of those that are asked over the network."""

AWAY_S = 40.0
"""The head of a cluster may be away for so long: one with external fault-tolerant storage restarts in that time."""

RECONNECT_S = 150
"""Ray's client ends the process that it is in after so long without the head (its own bound is 60 s): by then we have ended."""

AGAIN_S, LAST_S = 5.0, 25.0
"""A main thread that does not leave the block is interrupted again after the first; after the second, the process ends."""

SIGNAL = signal.SIGUSR2
"""Not SIGUSR1, which Tune uses."""


class _RayIsGone(KeyboardInterrupt):
    """Raised in the main thread, wherever it is. Ray's calls pass on nothing but a `KeyboardInterrupt` from a signal handler."""


class RayLost(RunCutShort):
    """Ray has died under a run."""


@contextlib.contextmanager
def monitored(find_loss: Callable[[], str], patience_s: float, every_s: float = EVERY_S) -> Iterator[None]:
    """End the block with `RayLost` once `find_loss` has named a loss for `patience_s` (it returns "" if there is none).

    A thread calls it every `every_s`. Ray's calls hang if Ray is gone: the main thread is interrupted in them, and if that
    does not help within `LAST_S`, the process ends with exit code 4, after a line that says why.
    """
    ended = threading.Event()
    lost: list[str] = []

    def monitor() -> None:
        since_s = time.monotonic()
        while not ended.wait(every_s):
            what = find_loss()
            if not what:
                since_s = time.monotonic()
            elif time.monotonic() - since_s >= patience_s:
                lost.append(what)
                break
        last_s = time.monotonic() + LAST_S
        while lost and not ended.is_set():
            if time.monotonic() > last_s:
                report_end(_sentence(lost[0]))
                os._exit(CUT_SHORT)
            if before is not None:
                signal.pthread_kill(main, SIGNAL)
            ended.wait(AGAIN_S)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not ended.is_set():
            raise _RayIsGone

    main = threading.main_thread().ident or 0
    before: Any = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(SIGNAL, interrupt)
    monitor_thread = threading.Thread(target=monitor, name="ray-watch", daemon=True)
    try:
        monitor_thread.start()
        yield
    except BaseException as error:
        if not lost:
            raise
        ended.set()
        raise RayLost(_sentence(lost[0])) from (None if isinstance(error, _RayIsGone) else error)
    finally:
        ended.set()
        if before is not None and not lost:  # else one may be on its way that would now end the process
            signal.signal(SIGNAL, before)


@contextlib.contextmanager
def disconnected_after() -> Iterator[None]:
    """Shut Ray down after the block. If Ray is lost, the process instead ends by `os._exit` when the interpreter exits.

    Ray's own shutdown would wait for what is gone, or abort.
    """
    import ray

    try:
        yield
    except RayLost:
        atexit.register(_leave)
        raise
    except BaseException:
        ray.shutdown()
        raise
    ray.shutdown()


def _leave() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(CUT_SHORT)


def _sentence(what: str) -> str:
    return f"{what}; what reached the store is kept: run it again to go on"
