"""Makes the images of named sources the test split, so that it says what a new source would cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageSet
from trainables.decoding.decode import some_of
from trainables.errors import DataError
from trainables.splits.split import TEST, UNGIVEN


def hold_out_sources(images: ImageSet, came: npt.NDArray[np.int8], held: Sequence[str]) -> npt.NDArray[np.int8]:
    """The split that each image came in, int8 (images,), with the sources `held` as test and all other test images dealt anew.

    Raises `DataError` where the images have no such source, or no other.
    """
    sources = images.sources
    if sources is None:
        raise DataError("data.hold_out names sources, but the images have none: let the data give them")
    known = sorted(set(sources))
    if missing := [name for name in held if name not in known]:
        raise DataError(f"data.hold_out names {missing[0]!r}, but the sources are {some_of(known)}: name some of these")
    if len(set(held)) == len(known):
        raise DataError(f"data.hold_out names all {len(known)} sources: leave some for training")
    mine = np.isin(np.array(sources, object).astype(str), list(held))
    return np.where(mine, np.int8(TEST), np.where(came == TEST, np.int8(UNGIVEN), came))
