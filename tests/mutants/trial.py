"""Runs the tests of a mutant in a copy of the tree: a forked process that has numpy, torch and Ray already, and a time limit."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests.mutants.operators import Mutant

PRELOADED = (
    *(
        "pytest",
        "pytest_timeout",
        "hypothesis",
        "hypothesis.extra",
        "scipy.stats",
        "pyarrow.parquet",
        "sklearn.isotonic",
    ),
    *("sklearn.metrics", "boto3", "torch", "ray", "pydantic", "ruamel.yaml", "PIL.Image"),
)
"""Importing these takes some seconds, the tests of most mutants less than that."""
TIMED_OUT = -1000
PATIENCE, START_S = 4.0, 10.0
"""A mutant has this many times what the tests take without it, and these seconds."""
LIMIT_BYTES = 8 * 10**9
"""Memory beyond what is loaded already: a loop without an end often fills a list."""
POLL_S = 0.02


@dataclass(frozen=True)
class Task:
    """The tests of one mutant, or of none."""

    number: int
    mutant: Mutant | None
    tests: list[str]
    limit_s: float


@dataclass(frozen=True)
class Outcome:
    """What came of a task."""

    task: Task
    code: int
    """The code that pytest ended with: 0 where all tests passed; `TIMED_OUT` where it was still at it at the limit."""
    seconds: float
    output: str

    @property
    def is_killed(self) -> bool:
        """Whether a test noticed the fault."""
        return self.code != 0


class Tree:
    """A copy of a checkout in `folder`, one mutant at a time in it."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.checkout, self.root = checkout, folder / "tree"
        self._log, self._scratch = folder / "log.txt", folder / "scratch"
        self._before: tuple[Path, bytes, float] | None = None
        self._pid = 0
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=checkout,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split("\0")
        for name in listed:
            if name and (checkout / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(checkout / name, self.root / name)

    def start(self, task: Task) -> None:
        """Start the tests of `task`."""
        self.task, self._since_s = task, time.monotonic()
        if task.mutant:
            path = self.root / task.mutant.path
            self._before = path, path.read_bytes(), path.stat().st_mtime
            path.write_bytes(task.mutant.source)
            os.utime(
                path, (0, 0)
            )  # a fault often leaves the size: by size and time bytecode of the code itself would be used
        self._pid = os.fork()
        if not self._pid:
            self._test(task)

    def poll(self) -> Outcome | None:
        """What came of the task; None while it is at it."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        late = not pid and time.monotonic() - self._since_s > self.task.limit_s
        if not pid and not late:
            return None
        code = TIMED_OUT if late else os.waitstatus_to_exitcode(status)
        self.stop(reaped=not late)
        output = self._log.read_text(errors="replace")
        return Outcome(self.task, code, time.monotonic() - self._since_s, output)

    def stop(self, reaped: bool = False) -> None:
        """End the tests and what they started, and take the fault out again."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
            if not reaped:
                os.waitpid(self._pid, 0)
        self._pid = 0
        if self._before:
            path, source, written_unix_s = self._before
            path.write_bytes(source)
            os.utime(path, (written_unix_s, written_unix_s))
            self._before = None

    def _test(self, task: Task) -> NoReturn:
        code = 3
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES, used + LIMIT_BYTES))
            log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(self.root)
            # Plugins that no test needs take a second to load.
            os.environ.update(PYTHONPATH=str(self.root), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
            if task.mutant:
                os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
                sys.dont_write_bytecode = True
            sys.path[:] = [str(self.root), *(each for each in sys.path if Path(each).resolve() != self.checkout)]
            for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
                del sys.modules[name]
            import pytest

            options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", f"--basetemp={self._scratch}"]
            code = pytest.main([*options, "-m", "not long and not gpu", *task.tests])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def preload() -> None:
    """Import what tests need of others. Of Caucus nothing may be there when a process is forked."""
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    os.environ["CI"] = "1"  # then Hypothesis draws the same examples each time, however slow the machine is
    for name in PRELOADED:
        importlib.import_module(name)


def run_tasks(tasks: Iterable[Task], trees: list[Tree], until_s: float) -> Iterator[Outcome]:
    """What came of each task that was started before `until_s` of the monotonic clock, as they end; one in each tree at a time."""
    waiting, free, busy = deque(tasks), list(trees), list[Tree]()
    try:
        while True:
            while waiting and free and time.monotonic() < until_s:
                tree = free.pop()
                busy.append(tree)
                tree.start(waiting.popleft())
            if not busy:
                return
            time.sleep(POLL_S)
            for tree in list(busy):
                if outcome := tree.poll():
                    busy.remove(tree)
                    free.append(tree)
                    yield outcome
    finally:
        for tree in busy:
            tree.stop()
