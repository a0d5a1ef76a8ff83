"""Opens what `data.path` names: a folder, a file in one, an archive, or the same in a bucket."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trainables.errors import DataError, StoreError
from trainables.places.archive import TARS, ZIPS, TarPlace, ZipPlace
from trainables.places.bucket import BucketPlace
from trainables.places.folder import FolderPlace, open_regular
from trainables.places.place import Place
from trainables.store.open import open_store


@dataclass(frozen=True)
class Source:
    """A place, and the one file of it that is meant; "" where the place is meant as a whole."""

    place: Place
    file: str = ""

    @property
    def name(self) -> str:
        """The source as messages name it."""
        return f"{self.place.name.rstrip('/')}/{self.file}" if self.file else self.place.name

    @property
    def suffix(self) -> str:
        """The ending of the file in lower case, as `.csv` or `.tar.gz`; "" where a place is meant."""
        name = self.file.lower()
        return next((end for end in TARS if name.endswith(end)), Path(name).suffix)


def open_source(where: str, endpoint_url: str | None = None, key: str = "data.path") -> Source:
    """What `where` names; an archive is opened as the place of its files.

    Raises `DataError` where it does not exist or cannot be read.
    """
    return _open_in_bucket(where, endpoint_url, key) if "://" in where else _open_here(where, key)


def _open_here(where: str, key: str) -> Source:
    try:
        path = Path(where).expanduser()
        if path.is_dir():
            return Source(FolderPlace(path))
        if not path.exists():
            raise DataError(f"{key} {where} does not exist: name a folder, a table, an archive, or s3://bucket/prefix")
        if _is_archive(path.name):
            return Source(_open_archive(str(path), open_regular(path)))
        open_regular(path).close()
    except DataError:  # a ValueError, too
        raise
    except (OSError, RuntimeError, ValueError) as error:  # `~nobody` is a RuntimeError, a null character a ValueError
        raise DataError(f"{key} {where} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return Source(FolderPlace(path.parent), path.name)


def _open_in_bucket(where: str, endpoint_url: str | None, key: str) -> Source:
    try:
        folder, _, name = where.rstrip("/").rpartition("/")
        if not where.endswith("/") and not folder.endswith("/"):
            store = open_store(folder, endpoint_url)
            if store.stat(name) is not None:
                if _is_archive(name):
                    return Source(_open_archive(where, io.BytesIO(store.get(name))))
                return Source(BucketPlace(store), name)
        place = BucketPlace(open_store(where.rstrip("/"), endpoint_url))
    except StoreError as error:
        raise DataError(f"{key} {where} cannot be read: {error}") from None
    if not place.files():
        raise DataError(f"{key} {where} holds no object: name a folder or a file of a bucket that holds images")
    return Source(place)


def _is_archive(name: str) -> bool:
    return name.lower().endswith((*ZIPS, *TARS))


def _open_archive(name: str, file: BinaryIO) -> Place:
    return ZipPlace(name, file) if name.lower().endswith(ZIPS) else TarPlace(name, file)
