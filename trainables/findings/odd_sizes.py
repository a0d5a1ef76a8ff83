"""Finds pictures whose files are much smaller than the others, or of quite other proportions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trainables.data.finding import LEAVE_OUT, DataFinding, name_some
from trainables.data.images import ImageSet

TIMES_SMALLER = 8
"""Of a picture whose shorter side is this many times shorter than that of the one in the middle, hardly anything is seen."""

TIMES_LONGER = 4
"""And of one whose proportions differ by this factor from those in the middle."""

MOST_IMAGES = 0.2
"""Share of the set above which that is how this set is."""


def find_odd_sizes(images: ImageSet) -> Iterator[DataFinding]:
    """At most one finding; none where the sizes of the files are not known."""
    if images.originals is None:
        return
    height, width = images.originals[:, 0], images.originals[:, 1]
    shorter = np.minimum(height, width)
    longer = np.abs(np.log(height / width) - np.median(np.log(height / width)))
    is_odd = (shorter * TIMES_SMALLER <= np.median(shorter)) | (longer >= np.log(TIMES_LONGER))
    if not 0 < is_odd.sum() <= MOST_IMAGES * len(is_odd):
        return
    rows = np.flatnonzero(is_odd)
    ids = images.ids_of(rows)
    named = name_some([f"{name} ({height[row]} x {width[row]})" for name, row in zip(ids, rows, strict=True)])
    middle = f"{np.median(height):.0f} x {np.median(width):.0f}"
    counted = "1 picture is" if len(rows) == 1 else f"{len(rows):,} pictures are"
    yield DataFinding(
        "odd-size", ids, f"{counted} of an odd size beside {middle} of the others: {named}", LEAVE_OUT, ids
    )
