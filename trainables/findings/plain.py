"""Finds images that show nothing: of one colour, nearly black, nearly white."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from trainables.data.finding import LEAVE_OUT, DataFinding, name_some
from trainables.data.images import ImageSet
from trainables.findings.looks import Looks

LEAST_CONTRAST = 1.0
"""Grey levels of standard deviation below which an image counts as one of one colour."""

MOST_PIXELS = 0.99
"""Share of nearly black (or white) pixels from which on an image counts as nearly black (or white)."""

MOST_IMAGES = 0.2
"""Share of the set above which dark (or light) images are how this set is, as stars and cells on black are."""


def find_plain(images: ImageSet, looks: Looks) -> Iterator[DataFinding]:
    """At most one finding of each kind."""
    constant = looks.contrast < LEAST_CONTRAST
    if constant.any():
        yield _describe(images, "constant", constant, "of one colour")
    for kind, share, words in (("dark", looks.dark, "nearly black"), ("light", looks.light, "nearly white")):
        extreme = (share >= MOST_PIXELS) & ~constant
        if 0 < extreme.sum() <= MOST_IMAGES * len(extreme):
            yield _describe(images, kind, extreme, words)


def _describe(images: ImageSet, kind: str, found: npt.NDArray[np.bool_], words: str) -> DataFinding:
    ids = images.ids_of(np.flatnonzero(found))
    counted = "1 image is" if len(ids) == 1 else f"{len(ids):,} images are"
    return DataFinding(kind, ids, f"{counted} {words}: {name_some(ids)}", LEAVE_OUT, ids)
