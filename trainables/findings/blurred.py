"""Finds images that are much less sharp than others of their class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trainables.data.finding import LEAVE_OUT, DataFinding, name_some
from trainables.data.images import ImageSet
from trainables.findings.looks import Looks

LEAST_SIDE_PX = 24
"""Of smaller images nobody sees whether they are sharp."""

LEAST_IMAGES = 20
"""A class with fewer has no sharpness of its own to compare with."""

LEAST_CONTRAST = 4.0
"""Grey levels: flatter images are no matter of sharpness."""

DEVIATIONS = 5.0
TIMES = 6.0
"""An image is blurred whose sharpness, on a logarithmic scale, is this many robust standard deviations below the median of its class,
and this many times below it; and so beside all images."""

MOST_IMAGES = 0.2
"""Share of the set above which that is how this set is."""


def find_blurred(images: ImageSet, looks: Looks) -> Iterator[DataFinding]:
    """At most one finding. Sharpness is the variance of the Laplacian in shares of the image's own variance: a blurred image has
    edges as high as a sharp one, but none as steep."""
    if min(images.pixels.shape[1:3]) < LEAST_SIDE_PX:
        return
    measured = looks.contrast >= LEAST_CONTRAST
    sharpness = np.log(looks.sharpness / np.maximum(looks.contrast, LEAST_CONTRAST) ** 2 + 1e-6)
    blurred = measured.copy()
    for members in (measured, *(measured & (images.labels == label) for label in range(len(images.class_names)))):
        if members.sum() < LEAST_IMAGES:
            blurred &= ~members
            continue
        middle = float(np.median(sharpness[members]))
        spread = 1.4826 * float(np.median(np.abs(sharpness[members] - middle)))
        blurred &= ~members | (sharpness < middle - max(DEVIATIONS * spread, np.log(TIMES)))
    if 0 < blurred.sum() <= MOST_IMAGES * len(blurred):
        rows = np.flatnonzero(blurred)
        ids = images.ids_of(rows[np.argsort(sharpness[rows], kind="stable")])
        counted = "1 image is" if len(ids) == 1 else f"{len(ids):,} images are"
        yield DataFinding(
            "blurred",
            ids,
            f"{counted} much less sharp than the others of their class: {name_some(ids)}",
            LEAVE_OUT,
            ids,
        )
