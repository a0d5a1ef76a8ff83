"""The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn carries (Alpaydin and Kaynak 1998): no download."""

from __future__ import annotations

import numpy as np

from trainables import layout
from trainables.decode import fit_grey
from trainables.images import ImageSet

_WHITEST = 16


def load_digits(size: int | None = None, channels: int | None = None) -> ImageSet:
    """All digits, in `train`. Ids are `digits/0000` to `digits/1796`; `size` and `channels` as in `fit_grey`."""
    from sklearn import datasets

    bundled = datasets.load_digits()
    grey = np.rint(bundled.images * (255 / _WHITEST)).astype(np.uint8)
    return ImageSet(
        name="digits",
        pixels=fit_grey(grey, size, channels),
        labels=bundled.target.astype(np.int64),
        image_ids=tuple(f"digits/{row:04d}" for row in range(len(grey))),
        class_names=tuple(str(digit) for digit in range(10)),
        splits=np.full(len(grey), layout.SPLITS.index("train"), np.int8),
    )
