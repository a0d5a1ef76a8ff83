"""Makes one fold of the images the test split, for cross-validation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageSet
from trainables.errors import DataError
from trainables.splits.bagging import choose_folds
from trainables.splits.split import TEST, UNGIVEN, join_groups


def give_fold(images: ImageSet, folds: int, fold: int, seed: int) -> npt.NDArray[np.int8]:
    """The split that each image is given, int8 (images,): `TEST` in the fold, `UNGIVEN` outside. `images` are in the order of their hashes.

    Each image is in one of the folds, which are stratified; groups and equal images are whole. Raises `DataError` where there are
    fewer images, or groups, than folds.
    """
    groups, names = join_groups(images.image_sha256, images.groups or images.image_sha256)
    if len(names) < folds:
        what = "groups" if images.groups is not None else "different images"
        raise DataError(f"data.folds is {folds}, but there are {len(names)} {what}: lower it")
    rows = np.arange(len(images.labels))
    of_image = choose_folds(images.labels, rows, folds, str(seed), groups)
    return np.where(of_image == fold, TEST, UNGIVEN).astype(np.int8)
