"""A folder for files that Ray Tune writes and nothing reads. A run that is killed leaves its folder behind; the next run removes it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "caucus-tune-"

_NAME = re.compile(rf"{PREFIX}(\d+)-.*")


@contextlib.contextmanager
def scratch_folder() -> Iterator[str]:
    """A new folder, which is gone after the block. Removes those of processes that are no longer there."""
    sweep_up(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield folder


def sweep_up(folder: Path) -> None:
    """Remove the scratch folders in `folder` that belong to this user and to no process. Never raises: it is a courtesy."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{PREFIX}*"):
            match = _NAME.fullmatch(path.name)
            if match and not path.is_symlink() and path.stat().st_uid == os.getuid() and not _is_there(int(match[1])):
                shutil.rmtree(path, ignore_errors=True)


def _is_there(pid: int) -> bool:
    """Whether a process has this id, whosever it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
