"""A folder of a disk as a place."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from typing_extensions import override

from trainables.errors import DataError
from trainables.places.place import Place, describe_stat


class FolderPlace(Place):
    """All files below a folder; links are followed, but not back into a folder that they lie in."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    @override
    def name(self) -> str:
        return str(self._path if self._path.name not in ("", "..") else self._path.resolve())

    @override
    def files(self) -> Sequence[str]:
        return self._walked[0]

    @override
    def folders(self) -> Sequence[str]:
        return self._walked[1]

    @override
    def open(self, file: str) -> BinaryIO:
        return open_regular(os.path.join(self._path, file))  # noqa: PTH118 pathlib takes 5 times as long

    @override
    def stamp(self, file: str) -> str:
        return describe_stat(os.stat(os.path.join(self._path, file)))  # noqa: PTH116, PTH118 as above

    @cached_property
    def _walked(self) -> tuple[list[str], list[str]]:
        top = str(self._path)
        files: list[str] = []
        folders: list[str] = []

        def fail(error: OSError) -> None:
            raise DataError(f"{error.filename} cannot be read: {error.strerror}: allow it, or move it away") from None

        for here, names, held in os.walk(top, onerror=fail, followlinks=True):
            names[:] = [name for name in names if not _leads_back(here, name)]
            below = here[len(top) :].lstrip(os.sep)
            prefix = f"{below}/" if below else ""
            folders += [prefix + name for name in names]
            files += [prefix + name for name in held]
        return sorted(files), sorted(folders)


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading and follow links. Raises `OSError`, also for a pipe or a device, which could block a reader for ever."""
    file: BinaryIO = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "a pipe or a device, no file")
    return file


def _leads_back(here: str, name: str) -> bool:
    """Whether a folder is a link to one of its parents: walking it would never end."""
    child = Path(here, name)
    return child.is_symlink() and Path(here).resolve().is_relative_to(child.resolve())
