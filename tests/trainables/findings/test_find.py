"""Each fault is planted in a clean set of three classes, and found by name; in the clean set nothing is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.trainables.findings.planted_faults import (
    CLASSES,
    blur,
    change,
    clean_set,
    draw_texture,
    rows_of,
    save_again,
)
from trainables.config.data import DataConfig
from trainables.data.finding import LEAVE_OUT, DataFinding
from trainables.data.images import ImageSet
from trainables.datasets.load import load_images
from trainables.findings.find import find_all, look_through
from trainables.findings.thumbnails import MOST, MOST_BYTES
from trainables.store import layout

CLEAN = clean_set()
TRAIN, VALIDATION, TEST = range(3)


def only(images: ImageSet) -> DataFinding:
    (found,) = find_all(images)
    return found


def ids(rows: list[int]) -> set[str]:
    return {CLEAN.image_ids[row] for row in rows}


def test_nothing_is_found_in_a_clean_set() -> None:
    assert find_all(CLEAN) == ()
    assert find_all(clean_set(channels=1)) == ()


def test_nothing_is_found_in_the_digits() -> None:
    assert find_all(load_images(DataConfig(name="digits"))) == ()


def test_a_picture_under_two_labels_makes_scores_wrong() -> None:
    cats, dogs = rows_of(CLEAN, 0, TRAIN)[:5], rows_of(CLEAN, 1, TEST)[:5]
    found = only(change(CLEAN, {dog: CLEAN.pixels[cat] for cat, dog in zip(cats, dogs, strict=True)}))
    assert (found.kind, found.is_wrong) == ("duplicates-under-several-labels", True)
    assert found.detail.startswith("5 pictures are there more than once (10 images) under several labels, as ")
    assert set(found.images) == set(found.leave_out) == ids(cats + dogs)
    assert found.patch == LEAVE_OUT


def test_a_picture_in_two_splits_makes_scores_wrong_and_the_copy_in_training_is_left_out() -> None:
    trained, tested = rows_of(CLEAN, 0, TRAIN)[:3], rows_of(CLEAN, 0, TEST)[:3]
    found = only(change(CLEAN, {new: CLEAN.pixels[old] for old, new in zip(trained, tested, strict=True)}))
    assert (found.kind, found.is_wrong) == ("duplicates-across-splits", True)
    assert set(found.leave_out) == ids(trained)


def test_a_picture_that_is_there_twice_is_no_more_than_worth_a_look() -> None:
    first, second = rows_of(CLEAN, 2, TRAIN)[:2]
    found = only(change(CLEAN, {second: CLEAN.pixels[first]}))
    assert (found.kind, found.is_wrong) == ("duplicates", False)
    assert found.detail.startswith("1 picture is there more than once (2 images) of one class and split")
    assert set(found.leave_out) == ids([second])


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "saved again": save_again,
    "brighter": lambda pixels: np.clip(pixels * 0.9 + 20, 0, 255).astype(np.uint8),
    "noise": lambda pixels: np.clip(pixels + np.random.default_rng(1).normal(0, 4, pixels.shape), 0, 255).astype(
        np.uint8
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_pictures_that_are_nearly_equal_are_found_in_other_splits(name: str) -> None:
    trained, tested = rows_of(CLEAN, 1, TRAIN)[:8], rows_of(CLEAN, 1, TEST)[:8]
    made = {new: CHANGES[name](CLEAN.pixels[old]) for old, new in zip(trained, tested, strict=True)}
    found = only(change(CLEAN, made))
    assert found.kind == "near-duplicates-across-splits"
    assert found.detail.startswith("16 images are nearly equal to one in another split, 8 of them in test, as ")
    assert set(found.images) == ids(trained + tested)
    assert set(found.leave_out) == ids(trained)


def test_pictures_that_are_nearly_equal_are_found_in_other_classes_and_in_their_own() -> None:
    cats, dogs = rows_of(CLEAN, 0, TRAIN)[:8], rows_of(CLEAN, 1, TRAIN)[:4]
    made = {new: save_again(CLEAN.pixels[old]) for old, new in zip(cats[:4], dogs, strict=True)}
    made |= {cats[5]: save_again(CLEAN.pixels[cats[4]])}
    across, inside = find_all(change(CLEAN, made))
    assert (across.kind, inside.kind) == ("near-duplicates-under-several-labels", "near-duplicates")
    assert set(across.images) == ids(cats[:4] + dogs)
    assert (set(inside.images), set(inside.leave_out)) == (ids(cats[4:6]), ids([cats[5]]))


def test_one_shape_in_two_colours_is_two_pictures() -> None:
    grey = np.repeat(CLEAN.pixels[:2].mean(3, keepdims=True), 3, axis=3)
    tinted = (grey * np.array([[[[1.0, 0.5, 0.5]]], [[[0.5, 0.5, 1.0]]]])).astype(np.uint8)
    tinted[1] = np.roll(tinted[0], 1, axis=2)  # red becomes green: other colours, the same shape
    assert not [found for found in find_all(change(CLEAN, dict(enumerate(tinted)))) if "duplicates" in found.kind]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("{label}/patient{subject:02d}_{view}.png", None),
        ("{label}/p{subject:02d}-v{view}-left.png", None),
        ("{label}/subject{subject:02d}/{view}.png", "2"),
        ("{label}/IMG_{subject:04d} ({view}).jpg", None),
        ("{label}/scan{subject:02d}{letter}.png", None),
    ],
)
def test_names_that_tell_which_pictures_show_one_thing_are_told_with_the_key_that_keeps_them_together(
    name: str, value: str | None
) -> None:
    from trainables.datasets.groups import find_groups

    rows = range(len(CLEAN.labels))
    names = [
        name.format(
            label=CLASSES[row % 3], subject=row // 15 * 3 + row % 3, view=row // 3 % 5, letter="abcde"[row // 3 % 5]
        )
        for row in rows
    ]
    images = replace(CLEAN, image_ids=tuple(names))
    found = only(images)
    assert found.kind == "torn-groups"
    assert ", and 24 of them lie in more than one split" in found.detail
    key, rule = found.patch.split("=", 1)
    assert key == "data.group"
    assert value in (None, rule)
    config = DataConfig(path="x", group=int(rule) if rule.isdecimal() else rule)
    groups = find_groups(names, config.group, "group")
    assert groups is not None
    assert len(set(groups)) == 24
    assert [found for found in find_all(replace(images, groups=groups)) if found.kind == "torn-groups"] == []


@pytest.mark.parametrize(
    "name",
    [
        "{label}/IMG_{row:04d}.jpg",
        "{label}/{number:03d}.jpg",
        "{label}/{number}_a.jpg",
        "{label}/{half}/{sixth:02d}.jpg",
        "{label}/{label}.{row}.jpg",
        "{label}_{row}.png",
        "{row:05d}.png",
        "{digest}.png",
    ],
)
def test_names_that_only_count_tell_of_no_groups(name: str) -> None:
    names = [
        name.format(
            label=CLASSES[row % 3],
            row=row,
            number=row // 3,
            half=row % 2,
            sixth=row // 6,
            digest=CLEAN.image_sha256[row][:16],
        )
        for row in range(len(CLEAN.labels))
    ]
    assert find_all(replace(CLEAN, image_ids=tuple(names))) == ()


def test_a_part_in_the_middle_of_names_is_believed_where_the_pixels_say_so_too() -> None:
    rows = np.arange(len(CLEAN.labels))
    subject = rows // 15 * 3 + rows % 3
    names = [
        f"{CLASSES[row % 3]}/{'abcde'[row // 3 % 5]}_{code:03x}_s.png" for row, code in zip(rows, subject, strict=True)
    ]
    images = replace(CLEAN, image_ids=tuple(names))
    assert find_all(images) == ()
    rng = np.random.default_rng(3)
    things = np.stack([draw_texture(rng) for _ in range(24)]).astype(np.float64)
    seen = (0.5 * things[subject] + 0.5 * CLEAN.pixels).astype(np.uint8)
    (found,) = (one for one in find_all(replace(images, pixels=seen)) if one.kind == "torn-groups")
    assert found.patch == r"data.group=(?:^|/)(?:[^/ _.-]+[ _.-]+){1}([^/ _.-]+)[^/]*$"


def test_films_are_found_by_name_only_where_the_pixels_say_so_too() -> None:
    rows = np.arange(len(CLEAN.labels))
    scene = rows // 3 % 2 * 3 + rows % 3  # two scenes a class, so that a scene has 20 images and more
    scene[rows >= 90] %= 3
    images = replace(CLEAN, image_ids=tuple(f"clip{at}_{row:04d}.png" for at, row in zip(scene, rows, strict=True)))
    assert "torn-groups" not in [found.kind for found in find_all(images)]
    rng = np.random.default_rng(3)
    scenes = np.stack([draw_texture(rng) for _ in range(6)]).astype(np.float64)
    filmed = (0.5 * scenes[scene] + 0.5 * CLEAN.pixels).astype(np.uint8)
    assert "torn-groups" in [found.kind for found in find_all(replace(images, pixels=filmed))]


def test_images_that_show_nothing_are_found() -> None:
    flat = np.full_like(CLEAN.pixels[0], 90)
    made = {row: flat + row for row in range(10)}
    made |= {row: (CLEAN.pixels[row] * 0.1).astype(np.uint8) for row in range(10, 20)}
    made |= {row: 255 - (CLEAN.pixels[row] * 0.1).astype(np.uint8) for row in range(20, 30)}
    found = {one.kind: one for one in find_all(change(CLEAN, made))}
    assert set(found) == {"constant", "dark", "light"}
    assert [set(found[kind].leave_out) for kind in ("constant", "dark", "light")] == [
        ids(list(range(at, at + 10))) for at in (0, 10, 20)
    ]
    assert found["constant"].detail.startswith("10 images are of one colour: ")


def test_a_set_of_dark_pictures_is_as_it_should_be() -> None:
    assert find_all(replace(CLEAN, pixels=(CLEAN.pixels * 0.12).astype(np.uint8))) == ()


def test_blurred_pictures_are_found() -> None:
    found = only(change(CLEAN, {row: blur(CLEAN.pixels[row]) for row in range(10)}))
    assert found.kind == "blurred"
    assert set(found.images) == ids(list(range(10)))


def test_a_brightness_that_tells_the_class_is_told_with_its_score() -> None:
    brighter = np.clip(CLEAN.pixels * 0.6 + 40 * CLEAN.labels[:, None, None, None], 0, 255).astype(np.uint8)
    found = only(replace(CLEAN, pixels=brighter))
    assert found.kind == "shortcut"
    assert found.detail.startswith("the brightness alone tells the class of 100% of the images, ")
    assert "always saying the largest class of 33%" in found.detail


def test_a_class_that_alone_has_images_without_colour_is_told() -> None:
    rows = np.flatnonzero(CLEAN.labels == 1)[::2]
    grey = np.repeat(CLEAN.pixels[rows].mean(3, keepdims=True), 3, axis=3).astype(np.uint8)
    found = only(change(CLEAN, dict(zip(rows.tolist(), grey, strict=True))))
    assert found.detail.startswith("20 of 20 images without colour are of the class dog, which has 33% of all")
    assert set(found.images) == ids(rows.tolist())


def test_a_source_that_tells_the_class_is_told() -> None:
    cameras = tuple(("canon", "nikon", "nikon")[label] for label in CLEAN.labels.tolist())
    found = only(replace(CLEAN, sources=cameras))
    assert found.detail.startswith("all images of the class cat are from the source canon, and no other image is")
    cameras = tuple(("canon", "nikon", "sony")[label] for label in CLEAN.labels.tolist())
    found = only(replace(CLEAN, sources=cameras))
    assert found.detail.startswith("the source alone tells the class of 100% of the images")


def test_a_class_with_one_image_is_told_with_the_key_that_leaves_it_out() -> None:
    rows = [*range(1), *np.flatnonzero(CLEAN.labels > 0).tolist()]
    images = ImageSet(
        "few",
        CLEAN.pixels[rows],
        CLEAN.labels[rows],
        tuple(CLEAN.image_ids[row] for row in rows),
        CLASSES,
        CLEAN.splits[rows],
        decoding=CLEAN.decoding,
    )
    found = only(images)
    assert (found.kind, found.patch, found.images) == ("tiny-class", "data.rename={'cat': null}", ("cat/0000.jpg",))
    assert found.detail.startswith("1 class has fewer than 10 images, cat (1): ")


def test_what_makes_scores_wrong_comes_first() -> None:
    images = change(CLEAN, {0: np.zeros_like(CLEAN.pixels[0]), 3: CLEAN.pixels[1]})
    assert [found.is_wrong for found in find_all(images)] == [True, False]


def test_thumbnails_are_few_and_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 96, 64, 3)).astype(np.uint8)
    images = replace(CLEAN, pixels=np.repeat(noise[:60], 2, axis=0), labels=np.repeat(np.arange(60) % 3, 2))
    found = look_through(images)
    assert {one.kind for one in found.findings} <= {"duplicates", "duplicates-across-splits"}
    assert 4 <= len(found.thumbnails) <= MOST
    assert sum(map(len, found.thumbnails.values())) <= MOST_BYTES
    assert all(png.startswith(b"\x89PNG") for png in found.thumbnails.values())
    assert set(found.thumbnails) <= {image_id for one in found.findings for image_id in one.images}


def test_what_pixels_tell_a_neighbour_as_well_is_no_matter_of_the_file() -> None:
    images = with_files([300] * 120, [400] * 120, [1000 * (row % 3) + 9000 + row for row in range(120)])
    pixels = CLEAN.pixels.copy()
    for label in range(3):  # a stripe that a nearest neighbour sees, and that leaves the brightness as it is
        pixels[images.labels == label, 16 * label : 16 * label + 8] = 255
        pixels[images.labels == label, 16 * label + 8 : 16 * label + 16] = 0
    assert [one for one in find_all(replace(images, pixels=pixels)) if one.kind == "shortcut"] == []


def test_of_images_of_four_pixels_none_are_nearly_equal() -> None:
    tiny = np.random.default_rng(0).integers(0, 256, (120, 2, 2, 1)).astype(np.uint8)
    assert not [one for one in find_all(replace(CLEAN, pixels=tiny)) if "near" in one.kind]


def test_an_empty_set_has_no_findings() -> None:
    empty = ImageSet("none", CLEAN.pixels[:0], CLEAN.labels[:0], (), CLASSES, CLEAN.splits[:0])
    assert find_all(empty) == ()
    assert layout.SPLITS == ("train", "validation", "test")  # the order in which copies are kept


def with_files(height: list[int], width: list[int], file_bytes: list[int]) -> ImageSet:
    return replace(CLEAN, originals=np.array([height, width, file_bytes], np.int64).T)


def test_pictures_of_odd_sizes_are_found_where_the_files_are_known() -> None:
    rows = range(len(CLEAN.labels))
    found = only(
        with_files(
            [{3: 1, 4: 10}.get(row, 300 + row) for row in rows],
            [{3: 1, 4: 4000}.get(row, 400) for row in rows],
            [9000 + row * 37 % 101 for row in rows],
        )
    )
    assert found.kind == "odd-size"
    assert found.images == (CLEAN.image_ids[3], CLEAN.image_ids[4])
    assert f"{CLEAN.image_ids[4]} (10 x 4000)" in found.detail
    assert find_all(with_files([300 + row for row in rows], [400 for _ in rows], [0 for _ in rows])) == ()


def test_a_size_of_the_file_that_tells_the_class_is_told() -> None:
    rows = range(len(CLEAN.labels))
    sizes = [1000 * (row % 3) + 9000 + row * 37 % 101 for row in rows]
    found = only(with_files([300 + row * 7 % 11 for row in rows], [400 for _ in rows], sizes))
    assert found.detail.startswith("the size of the file alone tells the class of 100% of the images")
