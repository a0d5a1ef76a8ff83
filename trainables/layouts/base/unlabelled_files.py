"""Images that need no label: image files of a place, and those in archives that lie in it. Each is opened when it is asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, BinaryIO, overload

from typing_extensions import override

from trainables.errors import DataError
from trainables.layouts.base.image_files import find_images
from trainables.layouts.base.listing import Content, ListedImage
from trainables.places.archive import TARS, ZIPS, TarPlace, ZipPlace
from trainables.places.place import Place

_MOST_OPEN = 4
"""Archives that are open at a time: those of a bucket, and those that are packed as a whole, lie in memory."""


class LazyImages(Sequence[ListedImage]):
    """Images that are made when they are asked for: of a million rows or file names no more is kept."""

    def __init__(self, rows: Sequence[Any], make: Callable[[Any], ListedImage]) -> None:
        """`make` makes the image of a row of `rows`."""
        self._rows = rows
        self._make = make

    @override
    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> ListedImage: ...

    @overload
    def __getitem__(self, at: slice) -> LazyImages: ...

    @override
    def __getitem__(self, at: int | slice) -> ListedImage | LazyImages:
        if isinstance(at, slice):
            return LazyImages(self._rows[at], self._make)
        return self._make(self._rows[at])


def list_image_files(place: Place, files: Sequence[str]) -> LazyImages:
    """Files of a place as images, without labels."""
    return LazyImages(files, lambda file: ListedImage(file, partial(place.open, file), None))


class InnerArchives:
    """The archives of a place, as shards are kept. Few are open at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._opened: OrderedDict[str, Place] = OrderedDict()
        self._lock = threading.Lock()

    def list_images(self, archive: str) -> list[ListedImage]:
        """The images of an archive, whose ids start with its name. Raises `DataError` and `OSError` where it cannot be read."""
        place = self._find(archive)
        found, _ = find_images(place, place.files())
        return [ListedImage(f"{archive}/{file}", partial(self._open, archive, file), None) for file in found]

    def _open(self, archive: str, file: str) -> BinaryIO:
        return self._find(archive).open(file)

    def _find(self, archive: str) -> Place:
        with self._lock:
            if archive not in self._opened:
                while len(self._opened) >= _MOST_OPEN:
                    self._opened.popitem(last=False)
                kind = ZipPlace if archive.lower().endswith(ZIPS) else TarPlace
                self._opened[archive] = kind(f"{self._place.name.rstrip('/')}/{archive}", self._place.open(archive))
            self._opened.move_to_end(archive)
            return self._opened[archive]


def is_archive(file: str) -> bool:
    """Whether a file has the ending of an archive."""
    return file.lower().endswith((*ZIPS, *TARS))


def list_bad(name: str, reason: str) -> ListedImage:
    """What stands in a list for an image that is known to be unreadable: to open it raises `DataError` with `reason`."""
    return ListedImage(name, partial(_refuse, reason), None)


def _refuse(reason: str) -> Content:
    raise DataError(reason)
