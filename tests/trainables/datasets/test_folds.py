"""Folds of cross-validation: every image is in one of them, whole groups, the classes alike."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.config.data import DataConfig
from trainables.data.images import ImageSet
from trainables.datasets.folds import give_fold
from trainables.datasets.load import load_images
from trainables.errors import DataError
from trainables.splits.split import TEST


def make_set(count: int, groups: list[str] | None = None) -> ImageSet:
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    return ImageSet(
        name="levels",
        pixels=pixels,
        labels=np.arange(count) % 2,
        image_ids=tuple(f"{number}" for number in range(count)),
        class_names=("a", "b"),
        splits=np.zeros(count, np.int8),
        groups=None if groups is None else tuple(groups),
    )


def test_each_image_is_in_one_fold_and_each_fold_has_each_class_alike() -> None:
    images = make_set(30)
    held = np.array([give_fold(images, 5, fold, 0) == TEST for fold in range(1, 6)])
    assert held.sum(0).tolist() == [1] * 30
    assert [np.bincount(images.labels[mine]).tolist() for mine in held] == [[3, 3]] * 5
    assert not np.array_equal(held[0], give_fold(images, 5, 1, 1) == TEST)  # another seed


def test_groups_and_equal_images_are_whole() -> None:
    groups = [f"g{number // 3}" for number in range(30)]
    images = make_set(30, groups)
    for fold in (1, 2, 3):
        mine = give_fold(images, 3, fold, 0) == TEST
        assert all(len(set(mine[start : start + 3])) == 1 for start in range(0, 30, 3))
    twins = make_set(8)
    twins.pixels[4:] = twins.pixels[:4]
    for fold in (1, 2):
        mine = give_fold(twins, 2, fold, 0) == TEST
        assert np.array_equal(mine[:4], mine[4:])


def test_the_fold_is_the_test_split_and_validation_is_dealt_from_the_rest() -> None:
    seen: list[str] = []
    for fold in (1, 2, 3, 4):
        images = load_images(DataConfig(name="digits", folds=4, fold=fold, validation=0.2))
        seen += [images.image_ids[row] for row in images.rows("test")]
        assert len(images.rows("validation")) == pytest.approx(0.2 * 1797 * 3 / 4, abs=2)
        assert images.reading.split_from == f"fold {fold} of 4"
    assert sorted(seen) == sorted(images.image_ids)
    first = load_images(DataConfig(name="digits", folds=4, fold=1, validation=0.2))
    assert load_images(DataConfig(name="digits", folds=4, validation=0.2)).data_id == first.data_id


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"fold": 2}, "data.fold means nothing without data.folds"),
        ({"folds": 3, "fold": 4}, "data.fold is 4, but there are only 3 folds"),
        ({"folds": 1}, "greater than or equal to 2"),
        ({"folds": 3, "source": 1, "hold_out": "x"}, "data.folds and data.hold_out both make the test split"),
        ({"name": "arrays", "folds": 3}, "means nothing to images that a program hands over"),
    ],
)
def test_folds_that_cannot_be_meant_are_refused(keys: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DataConfig.model_validate({"name": "digits", **keys})


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(DataError, match=r"data\.folds is 4, but there are 3 groups: lower it"):
        give_fold(make_set(6, list("xxyyzz")), 4, 1, 0)
