"""Files that are written whole or not at all: a reader, a crash, a full disk and a power cut see the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from trainables.store.keys import RESERVED_PREFIX

FOR_ALL = 0o666
"""Permissions of a new file, of which the umask takes away."""


def write_whole(path: Path, data: bytes, place: Callable[[Path, Path], None] = os.replace, mode: int = FOR_ALL) -> None:
    """Put `data` at `path`, with the folders above it.

    `place` gives the temporary file beside it its name: `os.replace` whatever lies there, `os.link` only where nothing does.
    Raises `OSError`, with nothing left behind; a process that is killed may leave that file, whose name starts with `RESERVED_PREFIX`.
    """
    temporary = _beside(path)
    try:
        fd = _create(temporary, mode)
        try:
            _fill(fd, data)
        finally:
            os.close(fd)
        place(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    _sync(path.parent)


def replace_whole(path: Path, data: bytes) -> None:
    """Put `data` into the file at `path` that a person has asked for, in a folder that is there.

    A link is followed, and a file that is there keeps its permissions. Even a process that is killed on the way leaves
    nothing, where the file system knows files without a name. What is no file, such as /dev/stdout or a named pipe, is
    written to: put in its place, a file would be gone with the next start of the machine, and the device with it. Raises `OSError`.
    """
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    mode = _mode_of(path)
    if mode is not None and not stat.S_ISREG(mode):
        with path.open("wb", buffering=0) as file:
            _fill(file.fileno(), data, sync=False)
        return
    temporary = _beside(path)
    fd, is_named = _open_unnamed(path.parent), False
    try:
        if fd is not None:
            _fill(fd, data)
            is_named = _name(fd, temporary)
        if not is_named:
            if fd is not None:
                os.close(fd)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FOR_ALL)
            _fill(fd, data)
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(path)
    finally:
        if fd is not None:
            os.close(fd)
        with contextlib.suppress(OSError):
            temporary.unlink()
    _sync(path.parent)


def _beside(path: Path) -> Path:
    """A new name in the same folder. It does not repeat the file's own, which may be as long as a name can be."""
    return path.parent / f"{RESERVED_PREFIX}{secrets.token_hex(8)}"


def _mode_of(path: Path) -> int | None:
    """Kind and permissions of what lies at `path`, None where nothing does."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _fill(fd: int, data: bytes, sync: bool = True) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
    if sync:
        os.fsync(fd)


def _open_unnamed(folder: Path) -> int | None:
    """A new file without a name, which is gone with whoever has it open; None where there is no such thing."""
    with contextlib.suppress(OSError, AttributeError):  # macOS has none, and network file systems
        return os.open(folder, os.O_WRONLY | os.O_TMPFILE, FOR_ALL)
    return None


def _name(fd: int, path: Path) -> bool:
    """Give the file without a name one; whether that could be."""
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # With a folder's descriptor Python follows the link that /proc shows, instead of making a second one of it.
            os.link(f"/proc/self/fd/{fd}", path.name, dst_dir_fd=folder, follow_symlinks=True)
            return True
        finally:
            os.close(folder)
    return False


def _create(path: Path, mode: int) -> int:
    """Open a new file at `path`, with its folders, which a `delete` in another process may sweep away meanwhile.

    `mkdir` says that a folder exists where it did a moment ago, was in the way, and is gone when it looks again.
    """
    for _ in range(20):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)


def _sync(folder: Path) -> None:
    """Without this a power cut may take the newest names back. It costs 0.5 ms beside the 0.7 ms of the file's own (ext4, 1 kB;
    nothing measurable at 1 MB and more). Some network file systems refuse it."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
