"""Some classes, some training images: which images stay, and that the selection is the same everywhere."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from trainables.config.data import DataConfig
from trainables.data.images import ImageSet, hash_images
from trainables.data.subset import limit_train, select_classes, sort_images
from trainables.datasets.fashion_mnist import DEBIAN
from trainables.datasets.load import load_images
from trainables.errors import DataError
from trainables.store import layout


def make_images(*counts: int, names: tuple[str, ...] = ("Coat", "Shirt", "T-shirt/top")) -> ImageSet:
    """So many distinct images of each class in `train`, and one of each in the other splits."""
    labels = np.concatenate([np.repeat(np.arange(len(counts)), counts), np.arange(len(counts)), np.arange(len(counts))])
    number = np.arange(len(labels))
    pixels = np.stack([number % 256, number // 256], 1).astype(np.uint8).reshape(-1, 2, 1, 1)
    splits = np.concatenate([np.zeros(sum(counts)), np.ones(len(counts)), np.full(len(counts), 2)]).astype(np.int8)
    ids = tuple(f"image/{at}" for at in number.tolist())
    return ImageSet("clothes", pixels, labels.astype(np.int64), ids, names[: len(counts)], splits)


def held(images: ImageSet) -> list[int]:
    """Training images of each class."""
    return np.bincount(images.labels[images.rows("train")], minlength=len(images.class_names)).tolist()


def test_classes_are_meant_by_name_in_any_case_or_by_number() -> None:
    images = make_images(4, 3, 2)
    for wanted in (["coat", "t-SHIRT/top"], [0, 2], ["T-shirt/top", 0]):
        some = select_classes(images, wanted)
        assert some.class_names == ("Coat", "T-shirt/top")
        assert held(some) == [4, 2]
        assert some.data_id == select_classes(images, ["Coat", "T-shirt/top"]).data_id
    assert some.data_id != images.data_id


def test_images_keep_their_pixels_their_names_and_their_splits() -> None:
    images = make_images(4, 3, 2)
    some = select_classes(images, ["shirt", "coat"])
    rows = [images.image_ids.index(name) for name in some.image_ids]
    assert np.array_equal(some.pixels, images.pixels[rows])
    assert np.array_equal(some.splits, images.splits[rows])
    assert [some.class_names[label] for label in some.labels] == [
        images.class_names[images.labels[row]] for row in rows
    ]


def test_a_number_is_a_name_where_a_class_is_called_so() -> None:
    some = select_classes(make_images(4, 3, 2, names=("2", "1", "0")), [2, 1])
    assert some.class_names == ("2", "1")


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (
            ["coat", "shrit"],
            "'shrit', which is no class of clothes, only Coat, Shirt, T-shirt/top; did you mean 'Shirt'",
        ),
        (["coat", "t-shirt"], "did you mean 'T-shirt/top'"),
        (["coat", 3], "class 3, but clothes has 3 classes, 0 to 2"),
        (["coat", -1], "class -1, but"),
        (["coat", "Coat", "shirt"], "'Coat' twice"),
        (["coat", 0], "'Coat' twice"),
    ],
)
def test_a_class_that_cannot_be_meant_is_refused_with_the_nearest_one(wanted: list[str | int], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        select_classes(make_images(4, 3, 2), wanted)


@pytest.mark.parametrize(
    ("counts", "count", "kept"),
    [
        ((40, 40), 10, [5, 5]),
        ((40, 40), 11, [6, 5]),  # of equals the first class
        ((60, 20), 8, [6, 2]),
        ((60, 30, 10), 9, [5, 3, 1]),  # 5.4, 2.7, 0.9
        ((97, 2, 1), 3, [1, 1, 1]),  # at least one each
        ((97, 2, 1), 10, [8, 1, 1]),
        ((3, 2), 5, [3, 2]),
    ],
)
def test_each_class_keeps_its_share(counts: tuple[int, ...], count: int, kept: list[int]) -> None:
    images = make_images(*counts)
    some = limit_train(images, count, seed=0)
    assert held(some) == kept
    for split in ("validation", "test"):
        assert len(some.rows(split)) == len(images.rows(split))


def test_who_stays_follows_from_the_seed_and_the_pixels_alone() -> None:
    images = make_images(300, 200)
    some = limit_train(images, 100, seed=0)
    assert some.data_id == limit_train(images, 100, seed=0).data_id
    assert some.data_id != limit_train(images, 100, seed=1).data_id
    shuffled = np.random.default_rng(0).permutation(len(images.labels))
    other = replace(
        images,
        pixels=images.pixels[shuffled],
        labels=images.labels[shuffled],
        splits=images.splits[shuffled],
        image_ids=tuple(f"other/{row}" for row in range(len(shuffled))),
    )
    assert sorted(limit_train(other, 100, seed=0).image_sha256) == sorted(some.image_sha256)


@pytest.mark.parametrize(
    ("count", "complaint"),
    [
        (501, "data.train is 501, but only 500 images of clothes are left to train on"),
        (1, "data.train is 1, but 2 classes need at least one image each"),
    ],
)
def test_a_number_that_cannot_be_had_is_refused(count: int, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        limit_train(make_images(300, 200), count, seed=0)


def test_a_sweep_file_may_ask_for_both_and_the_names_follow() -> None:
    images = load_images(DataConfig(name="digits", classes=[3, "8"], train=50))
    assert images.class_names == ("3", "8")
    assert held(images) == [26, 24]  # 183 and 174 in the set
    assert [len(images.rows(split)) for split in layout.SPLITS[1:]] == [54, 54]
    ids = {
        load_images(config).data_id
        for config in (
            DataConfig(name="digits"),
            DataConfig(name="digits", classes=[3, 8]),
            DataConfig(name="digits", train=50),
            DataConfig(name="digits", classes=[3, 8], train=50),
            DataConfig(name="digits", classes=[3, 8], train=50, split_seed=1),
        )
    }
    assert len(ids) == 5


def test_classes_may_be_words_of_a_command_line() -> None:
    assert DataConfig.model_validate({"name": "digits", "classes": "shirt, t-shirt/top"}).classes == [
        "shirt",
        "t-shirt/top",
    ]
    assert DataConfig.model_validate({"name": "digits", "classes": "3,8"}).classes == [3, 8]


@pytest.mark.parametrize(
    "wrong", [{"classes": ["a"]}, {"classes": "a"}, {"classes": [True, 1]}, {"train": 0}, {"train": "9"}]
)
def test_what_cannot_be_meant_is_refused_before_any_image_is_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DataConfig.model_validate({"name": "digits", **wrong})


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Fashion-MNIST is not installed")
def test_a_published_test_split_keeps_its_images_of_the_chosen_classes() -> None:
    images = load_images(
        DataConfig(name="fashion-mnist", root=str(DEBIAN), classes=["shirt", "t-shirt/top"], train=1646)
    )
    assert images.class_names == ("T-shirt/top", "Shirt")
    assert [len(images.rows(split)) for split in layout.SPLITS] == [1646, 1800, 2000]
    assert held(images) == [823, 823]


def test_images_that_are_in_their_order_are_not_copied_and_not_hashed_again() -> None:
    first = sort_images(make_images(4, 3, 2))
    again = sort_images(first)
    assert again.pixels is first.pixels
    assert again.image_sha256 == first.image_sha256 == hash_images(first.pixels)
    assert "image_sha256" in vars(again)


def test_where_equal_images_alone_change_places_their_labels_move_and_pixels_are_not_copied() -> None:
    images = replace(make_images(2, 2), pixels=np.zeros((8, 2, 1, 1), np.uint8))
    found = sort_images(images)
    assert found.pixels is images.pixels
    assert found.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found.image_ids == ("image/0", "image/1", "image/4", "image/6", "image/2", "image/3", "image/5", "image/7")


def test_hashes_follow_the_images_that_are_selected() -> None:
    images = sort_images(make_images(6, 3, 2))
    for found in (select_classes(images, [0, 2]), limit_train(images, 5, 1)):
        assert found.image_sha256 == hash_images(found.pixels)
