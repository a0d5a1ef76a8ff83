"""A place in memory, for readers of layouts."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import BinaryIO

from typing_extensions import override

from trainables.config.data import DataConfig
from trainables.layouts.base.listing import Listing
from trainables.layouts.detect import list_images
from trainables.places.open import Source
from trainables.places.place import Place

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
"""The first bytes of an image; nothing here decodes one."""


class MemoryPlace(Place):
    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.contents = dict(contents)

    @property
    @override
    def name(self) -> str:
        return "memory"

    @override
    def files(self) -> Sequence[str]:
        return sorted(self.contents)

    @override
    def folders(self) -> Sequence[str]:
        return sorted({str(above) for name in self.contents for above in PurePosixPath(name).parents} - {"."})

    @override
    def open(self, file: str) -> BinaryIO:
        if file not in self.contents:
            raise FileNotFoundError(2, "no such file", file)
        return io.BytesIO(self.contents[file])


def images(*names: str) -> dict[str, bytes]:
    return dict.fromkeys(names, PNG)


def listed(contents: Mapping[str, bytes | str], file: str = "", **keys: object) -> Listing:
    """What `list_images` finds in files of these contents."""
    place = MemoryPlace({name: text.encode() if isinstance(text, str) else text for name, text in contents.items()})
    return list_images(Source(place, file), DataConfig(path="memory", **keys))  # type: ignore[arg-type]


def labels_of(listing: Listing) -> dict[str, str | None]:
    return {image.image_id: image.label for image in listing.images}


def splits_of(listing: Listing) -> dict[str, str]:
    return {image.image_id: image.split for image in listing.images}
