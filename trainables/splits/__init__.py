"""Which images are trained on, steer the search, and judge it: splits, bags, folds and shares of the training images.

`split.split_images` deals images and whole groups to training, validation and test; `bagging` and `train_share` choose rows of training.
All follow from hashes, not from order or names.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.splits.bagging import choose_bag, choose_folds
    from trainables.splits.split import join_groups, split_images

__all__ = ["choose_bag", "choose_folds", "join_groups", "split_images"]

__getattr__ = lazy_names(
    __name__, {"bagging": ("choose_bag", "choose_folds"), "split": ("join_groups", "split_images")}
)
