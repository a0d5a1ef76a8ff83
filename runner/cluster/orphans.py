"""Ends what a dead driver's private Ray has left on this machine. Each process of such a Ray carries a mark in its environment.

Ray's agents and workers write their process titles over that environment, at times over all of it. So they are identified
by the log that they write in the folder of their session, too.

Most of them end with the driver, but Ray's agents wait for its head for another minute, and a worker that was stopped stays.
This file is also run as a program: a guardian that waits for the end of its driver (`guarded`). So it imports little.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = "CAUCUS_RAY_OF"
"""The environment variable that names the driver process to which a Ray belongs."""

SWEEP_S = 20.0
"""For so long a guardian searches for processes that started during its search."""

GUARDIAN_END_S = 5.0


@contextlib.contextmanager
def guarded() -> Iterator[Callable[[str], None]]:
    """Mark the processes that are started in the block, and kill them when the block or this process ends, however it ends.

    Yields a function that takes the folder of a Ray session: processes that have a file open there are killed as well.
    Kills first what dead drivers have left. Without /proc nothing is found, and nothing happens.
    """
    from runner.journal.process_id import describe_process

    sweep_up()
    mark = json.dumps({**describe_process(), "ray": secrets.token_hex(8)}, separators=(",", ":"))
    # A new process session: a closed terminal and a Ctrl-C are meant for the driver.
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(__file__)), mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.environ[MARK] = mark
    assert guardian.stdin is not None
    pipe = guardian.stdin

    def add_session(session: str) -> None:
        with contextlib.suppress(OSError):  # a guardian that was killed: the next driver sweeps up
            pipe.write(os.fsencode(session) + b"\n")
            pipe.flush()

    try:
        yield add_session
    finally:
        os.environ.pop(MARK, None)
        with contextlib.suppress(OSError):
            pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            guardian.wait(GUARDIAN_END_S)


def sweep_up() -> int:
    """Kill what is left of the Rays of drivers that have ended on this machine; returns how many processes. Never raises."""
    return kill_marked(_is_of_the_dead)


def kill_marked(
    is_meant: Callable[[str], bool], sessions: frozenset[str] = frozenset(), spared: frozenset[int] = frozenset()
) -> int:
    """Kill this user's processes whose mark `is_meant`, or that write into one of `sessions`; returns how many.

    Process ids in `spared` are left alone.
    """

    def is_left(pid: int) -> bool:
        return is_meant(_read_mark(pid)) or (bool(sessions) and _writes_into(pid, sessions))

    killed = 0
    for pid in _processes():
        if pid == os.getpid() or pid in spared or not is_left(pid):
            continue
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                # Checked again: the number may be another process's by now.
                if is_left(pid):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    killed += 1
            finally:
                os.close(handle)
    return killed


def _is_of_the_dead(mark: str) -> bool:
    from runner.journal.process_id import process_has_exited

    try:
        owner = json.loads(mark) if mark else None
    except ValueError:
        return False
    return isinstance(owner, dict) and process_has_exited(owner)


def _processes() -> list[int]:
    try:
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return []


def _read_mark(pid: int) -> str:
    """The mark of a process of this user; "" if it has none, or belongs to another user."""
    try:
        folder = Path(f"/proc/{pid}")
        if folder.stat().st_uid != os.getuid():
            return ""
        variables = (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    prefix = f"{MARK}=".encode()
    return next(
        (variable[len(prefix) :].decode(errors="replace") for variable in variables if variable.startswith(prefix)), ""
    )


def _writes_into(pid: int, sessions: frozenset[str]) -> bool:
    """Whether a process of this user has a file open for writing in one of these folders; a reader of a log is left alone."""
    folders = tuple(f"{session}/" for session in sessions)
    with contextlib.suppress(OSError, ValueError, IndexError):  # gone, or another user's
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(entry.readlink()).startswith(folders):
                    flags = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text().partition("flags:")[2].split()[0]
                    if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY:
                        return Path(f"/proc/{pid}").stat().st_uid == os.getuid()
    return False


def _guard(mark: str) -> None:
    """Wait until the driver ends or closes the pipe, then kill what is left of its Ray."""
    lines = (os.fsdecode(line).rstrip("\n") for line in sys.stdin.buffer)
    sessions = frozenset(session for session in lines if Path(session).name.startswith("session_"))
    # A driver that is done with its Ray lives on, and has a log of its own open there.
    driver = frozenset({json.loads(mark)["pid"]})
    end_s = time.monotonic() + SWEEP_S
    while kill_marked(lambda found: found == mark, sessions, driver) and time.monotonic() < end_s:
        time.sleep(0.2)


if __name__ == "__main__":
    _guard(sys.argv[1])
