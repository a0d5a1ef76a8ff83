"""A verb that drives Ray works in a child of the process that was started, which waits and knows how the child ended.

Ray's client ends the process that it is in, with code 1 or by SIGABRT and at any moment, where its raylet or its head is gone.
No code in that process can print anything then.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys

CUT_SHORT = 4

KILLED_BY_RAY = 1
"""The exit code with which Ray's client ends a process. No verb of Caucus uses it."""

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)
"""Signals that a person or a supervisor sends to the process that was started."""

PR_SET_PDEATHSIG = 1

SENT_BY_A_PROCESS = 0
"""`si_code` of a signal that a process has sent; the kernel's own, such as a terminal's Ctrl-C, have 128."""


def supervise() -> None:
    """Fork. Returns in the child, which ends at once if its parent dies; the parent waits, and ends as the child does.

    If something other than the verb has ended the child, the parent reports that and ends with code 4. Must be called
    before any thread is started. On systems other than Linux nothing happens.
    """
    if sys.platform != "linux":
        return
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    parent = os.getpid()
    awaited = {*FORWARDED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(CUT_SHORT)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    _end_as(_wait_for(child, awaited))


def explain_end(status: int) -> str:
    """Why a run is over whose process ended with the wait status `status`; "" if the run has reported that itself.

    >>> explain_end(4 << 8), explain_end(1 << 8)[:45]
    ('', "Ray has ended this run's process (exit code 1")
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            return ""
        how = f"by {signal.Signals(number).name}"
        if number == signal.SIGKILL:
            return f"this run's process was killed ({how}), as the kernel does where memory runs out; {_GO_ON}"
        return f"this run's process was ended {how}; {_GO_ON}"
    if os.WEXITSTATUS(status) == KILLED_BY_RAY:
        return (
            f"Ray has ended this run's process (exit code 1), as it does where its raylet or its head is gone; {_GO_ON}"
        )
    return ""


_GO_ON = "what reached the store is kept: run it again to go on"


def _wait_for(child: int, awaited: set[signal.Signals]) -> int:
    """The wait status of the child. Signals to this process are forwarded, except those that a terminal sends to both."""
    while True:
        found = signal.sigwaitinfo(awaited)
        if found.si_signo != signal.SIGCHLD:
            if found.si_code <= SENT_BY_A_PROCESS:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, found.si_signo)
            continue
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status


def report_end(what: str) -> None:
    """Report why a run is over if its process cannot: one line, and with `--json` the JSON object."""
    with contextlib.suppress(OSError, ValueError):
        os.write(2, f"caucus: {what}\n".encode())
        if "--json" in sys.argv:
            os.write(1, (json.dumps({"error": what, "kind": "RayLost"}) + "\n").encode())


def _end_as(status: int) -> None:
    if what := explain_end(status):
        report_end(what)
        os._exit(CUT_SHORT)
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    os._exit(os.WEXITSTATUS(status))
