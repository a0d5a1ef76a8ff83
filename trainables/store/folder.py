"""A store in a local folder, or in a folder that all machines of a cluster share."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from trainables.errors import ObjectMissing, StoreError
from trainables.store.atomic_file import write_whole
from trainables.store.base import Store, StoredObject
from trainables.store.keys import RESERVED_PREFIX, check_key, check_prefix, is_key

LEAST_FREE_BYTES = 16 * 2**20
"""With less free space than this a run would stop at its first checkpoints."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


@dataclass(frozen=True)
class Folder(Store):
    """A store in the folder `root`, which is created with the first write.

    A write is an atomic rename. Symbolic links to folders below `root` are neither listed nor written through: a store that
    someone else prepared cannot make a run write elsewhere, and a link to a parent folder causes no endless listing.
    """

    root: Path
    typed: str = ""
    """The folder as a person typed it, for messages; `root` is made absolute, for workers that run elsewhere."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "typed", self.typed or str(self.root))
        object.__setattr__(self, "root", self.root.absolute())

    @property
    @override
    def uri(self) -> str:
        """The folder as a person typed it."""
        return self.typed

    @override
    def put(self, key: str, data: bytes) -> StoredObject:
        """Flushes the data to the disk before the rename."""
        path = self.root / check_key(key)
        self._refuse_links(path, key)
        try:
            write_whole(path, data)
        except OSError as error:
            raise self._failure(error, f"writing {key} ({len(data)} bytes)") from None
        return StoredObject(key, len(data))

    @override
    def create(self, key: str, data: bytes) -> bool:
        """Uses a hard link, which unlike a rename replaces no file."""
        path = self.root / check_key(key)
        self._refuse_links(path, key)
        try:
            write_whole(path, data, os.link)
        except OSError as error:
            if isinstance(error, FileExistsError) and os.path.lexists(path):
                return False
            raise self._failure(error, f"creating {key}") from None
        return True

    @override
    def get(self, key: str) -> bytes:
        try:
            path = self.root / check_key(key)
            if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, and a device may have no end
                raise FileNotFoundError
            return path.read_bytes()
        except _ABSENT:
            raise ObjectMissing(f"store {self.uri} holds no {key}") from None
        except OSError as error:
            raise self._failure(error, f"reading {key}") from None

    @override
    def stat(self, key: str) -> StoredObject | None:
        try:
            found = (self.root / check_key(key)).stat()
        except _ABSENT:
            return None
        except OSError as error:
            raise self._failure(error, f"looking at {key}") from None
        return StoredObject(key, found.st_size) if stat.S_ISREG(found.st_mode) else None

    @override
    def find(self, prefix: str) -> list[StoredObject]:
        """Leaves out unfinished writes, and files whose names are not valid keys."""
        try:
            return sorted(self._walk(check_prefix(prefix)), key=lambda found: found.key)
        except OSError as error:
            raise self._failure(error, f"listing {prefix or 'it'}") from None

    @override
    def folders(self, prefix: str) -> list[str]:
        try:
            return sorted(
                entry.name for entry in self._entries(check_prefix(prefix)) if entry.is_dir(follow_symlinks=False)
            )
        except OSError as error:
            raise self._failure(error, f"listing {prefix or 'it'}") from None

    @override
    def written_unix_s(self, prefix: str) -> dict[str, float]:
        times: dict[str, float] = {}
        for found in self.find(prefix):
            with contextlib.suppress(*_ABSENT):
                times[found.key] = (self.root / found.key).stat().st_mtime
        return times

    def unfinished(self) -> list[tuple[Path, int, float]]:
        """Temporary files of unfinished writes, and probes: path, size in bytes, and modification time (Unix seconds)."""
        leftovers = []
        for folder, below, names in os.walk(self.root):
            below.sort()
            for name in sorted(names):
                if name.startswith(RESERVED_PREFIX):
                    path = Path(folder, name)
                    with contextlib.suppress(*_ABSENT):
                        found = path.lstat()
                        if stat.S_ISREG(found.st_mode):
                            leftovers.append((path, found.st_size, found.st_mtime))
        return leftovers

    @override
    def delete(self, key: str) -> None:
        """Removes folders that become empty, too, as a bucket does."""
        path = self.root / check_key(key)
        self._refuse_links(path, key)
        if path.is_dir() and not path.is_symlink():
            return
        try:
            path.unlink()
        except _ABSENT:
            return
        except OSError as error:
            raise self._failure(error, f"deleting {key}") from None
        with contextlib.suppress(OSError):  # not empty, or a writer was faster: the folder stays
            while (path := path.parent) != self.root:
                path.rmdir()

    @override
    def check(self) -> None:
        """Accepts a folder that does not exist yet, where it can be created."""
        place = self.nearest()
        if not place.is_dir():
            what = "a link to nothing" if place.is_symlink() and not place.exists() else "no folder"
            raise StoreError(f"store {self.uri}: {place} is {what}: remove it, or name another store")
        if not os.access(place, os.R_OK | os.X_OK):
            raise StoreError(
                f"store {self.uri}: {place} may not be read: correct its permissions, or name another store"
            )

    @override
    def check_writable(self, needed_bytes: int = 0) -> None:
        """Leaves nothing behind, not even the store's own folder."""
        self.check()
        place = self.nearest()
        try:
            probe = place / f"{RESERVED_PREFIX}probe-{secrets.token_hex(8)}"
            probe.touch(exist_ok=False)
            probe.unlink()
            free = shutil.disk_usage(place).free
        except OSError as error:
            raise self._failure(error, "writing a probe") from None
        needed = max(needed_bytes, LEAST_FREE_BYTES)
        if free < needed:
            raise StoreError(
                f"store {self.uri} has {free / 2**20:.1f} MiB free, but {needed / 2**20:.1f} MiB are needed: "
                "free space or name another store"
            )

    def remove_empty(self, down_to: Path) -> None:
        """Remove `root` and the folders above it, up to `down_to`, as far as they are empty."""
        path = self.root
        with contextlib.suppress(OSError):
            while path != down_to and path != path.parent:
                path.rmdir()
                path = path.parent

    def nearest(self) -> Path:
        """`root`, or the nearest parent path that exists."""
        return next(path for path in (self.root, *self.root.parents) if os.path.lexists(path))

    def _refuse_links(self, path: Path, key: str) -> None:
        """Raise `StoreError` where a parent folder is a link. A link at `path` itself is harmless: it is replaced, not followed."""
        try:
            real, expected = path.parent.resolve(), self.root.resolve() / path.parent.relative_to(self.root)
        except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError before Python 3.13
            raise StoreError(f"store {self.uri}: the folder of {key} cannot be resolved ({error}): remove it") from None
        if real != expected:
            raise StoreError(
                f"store {self.uri}: the folder of {key} is a symbolic link that leads to {real}, "
                "which is not written through: replace the link by a folder"
            )

    def _entries(self, prefix: str) -> list[os.DirEntry[str]]:
        """The entries directly under `prefix` whose names are valid in keys; none where there is no such folder."""
        try:
            with os.scandir(self.root / prefix) as entries:
                return [entry for entry in entries if is_key(prefix + entry.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _walk(self, prefix: str) -> Iterator[StoredObject]:
        for entry in self._entries(prefix):
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(f"{prefix}{entry.name}/")
                continue
            try:
                found = entry.stat()
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ELOOP):  # deleted since it was listed, or a link to nothing
                    continue
                raise
            if stat.S_ISREG(found.st_mode):
                yield StoredObject(prefix + entry.name, found.st_size)

    def _failure(self, error: OSError, doing: str) -> StoreError:
        if error.errno in _FULL:
            return StoreError(
                f"store {self.uri}: no space left on device while {doing}: free space or name another store"
            )
        if error.errno in _REFUSED:
            reason = "the file system is read-only" if error.errno == errno.EROFS else "permission denied"
            return StoreError(f"store {self.uri}: {reason} while {doing}: correct that, or name another store")
        return StoreError(
            f"store {self.uri}: {error.strerror or error} while {doing}: repair it, or name another store"
        )


def open_folder(uri: str, endpoint_url: str | None = None) -> Folder:
    """The folder that `uri` names. Raises `StoreError` for the home of a user whom nobody knows."""
    try:
        return Folder(Path(uri).expanduser(), uri)
    except RuntimeError as error:  # `~nobody`
        raise StoreError(f"store {uri}: {error}: name the folder in full") from None
