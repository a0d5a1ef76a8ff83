"""What a reader of a layout returns: the images that a source holds, before any of them is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from trainables.data.reading import PassedOver
from trainables.places.place import Place

Content = BinaryIO | npt.NDArray[np.uint8]
"""An encoded image file, opened; or decoded pixels, uint8 (height, width) or (height, width, 1, 3 or 4)."""


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image of a source."""

    image_id: str
    """Unique in its listing: the path below the source, or the part and the position where images have no names."""
    open: Callable[[], Content]
    """Returns the image, still to be decoded. Raises `OSError` or `ValueError` where it cannot be read."""
    label: str | None
    """The class as people call it; None for an image of an unlabelled part."""
    split: str = ""
    """The split that came with the data, one of `layout.SPLITS`; "" where none came."""
    cells: Mapping[str, str] = field(default_factory=dict)
    """The other cells of its row, by column, where the source is a table."""
    stamp: Callable[[], str] | None = None
    """Returns a text that changes whenever the image does, without reading it (`Place.stamp`). None where only the content tells."""


@dataclass(frozen=True)
class Listing:
    """All images of a source, in no particular order, and what a person should know about how it was understood."""

    name: str
    """A short name for the set, for reports: the folder's or the file's."""
    layout: str
    """What the source was taken for: "class folders", "a table (labels.csv)"."""
    images: Sequence[ListedImage]
    class_names: Sequence[str] = ()
    """Class names in the order that was published with the set; empty where it has none: then they are sorted."""
    split_from: str = ""
    """What gave the split: "folders", "column is_valid"; "" where none came."""
    passed_over: Sequence[PassedOver] = ()
    notes: Sequence[str] = ()
    """Sentences for the person: what was found and could be meant otherwise, with the key that settles it."""
    columns: Sequence[str] = ()
    """The table's columns; empty where there is no table."""
    unlabelled: int = 0
    """Images without a label that were left out of `images`."""


def list_file(
    place: Place,
    file: str,
    label: str | None,
    split: str = "",
    image_id: str = "",
    cells: Mapping[str, str] | None = None,
) -> ListedImage:
    """The image in `file` of `place`; its id is `image_id`, by default the file's name there."""
    return ListedImage(
        image_id or file, partial(place.open, file), label, split, cells or {}, partial(place.stamp, file)
    )


def list_array(
    pixels: npt.NDArray[np.uint8],
    labels: Sequence[str | None],
    split: str = "",
    prefix: str = "",
) -> list[ListedImage]:
    """The images of an array, uint8 (images, height, width[, channels]); ids are `prefix` and the position: `test/00012`."""
    digits = max(5, len(str(len(pixels))))
    prefix = prefix or split
    return [
        ListedImage(
            f"{prefix}/{row:0{digits}d}" if prefix else f"{row:0{digits}d}",
            partial(pixels.__getitem__, row),
            labels[row],
            split,
        )
        for row in range(len(pixels))
    ]
