"""The 1,797 handwritten digits of 8 x 8 pixels in scikit-learn (Alpaydin and Kaynak 1998): no download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageSet
from trainables.decoding.decode import fit_grey
from trainables.store import layout

_WHITEST = 16


def load_digits(size: int | tuple[int, int] | None = None, channels: int | None = None) -> ImageSet:
    """All digits, in `train`. Ids are `digits/0000` to `digits/1796`; `size` and `channels` as in `fit_grey`."""
    steps, labels = _read_file() or _ask_library()
    grey = np.rint(steps * (255 / _WHITEST)).astype(np.uint8)
    return ImageSet(
        name="digits",
        pixels=fit_grey(grey, size, channels),
        labels=labels,
        image_ids=tuple(f"digits/{row:04d}" for row in range(len(grey))),
        class_names=tuple(str(digit) for digit in range(10)),
        splits=np.full(len(grey), layout.SPLITS.index("train"), np.int8),
    )


Digits = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""Grey levels, (images, 8, 8), and labels."""


def _read_file() -> Digits | None:
    """The digits from the file in scikit-learn's folder: importing the library takes longer than all other work of a driver before
    Ray starts. None where the file is not at its present place."""
    found = find_spec("sklearn")
    folders = found.submodule_search_locations if found else None
    path = Path(folders[0], "datasets", "data", "digits.csv.gz") if folders else None
    if path is None or not path.is_file():
        return None
    table = np.loadtxt(path, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)


def _ask_library() -> Digits:
    from sklearn import datasets

    bundled = datasets.load_digits()
    return bundled.images, bundled.target.astype(np.int64)
