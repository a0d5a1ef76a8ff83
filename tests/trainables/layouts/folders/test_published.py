"""Sets of image files with published lists, and EuroSAT, which needs none."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from tests.trainables.layouts.damage import CONFIG, pack, read_damaged, write
from trainables.errors import DataError
from trainables.layouts.base.listing import Listing
from trainables.layouts.detect import Layout, list_images
from trainables.layouts.folders.published import (
    matches_birds,
    matches_food,
    matches_pets,
    read_birds,
    read_food,
    read_pets,
)


def jpeg() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (4, 4)).save(data, "JPEG")
    return data.getvalue()


JPEG = jpeg()
PET_NAMES = ("Abyssinian_1", "Abyssinian_100", "american_bulldog_2", "american_bulldog_3", "saint_bernard_7")
PETS: Mapping[str, bytes] = {
    "oxford-iiit-pet/annotations/list.txt": b"#Image CLASS-ID SPECIES BREED ID\n",
    "oxford-iiit-pet/annotations/trainval.txt": b"american_bulldog_2 2 2 1\nAbyssinian_100 1 1 1\n",
    "oxford-iiit-pet/annotations/test.txt": b"Abyssinian_1 1 1 1\namerican_bulldog_3 2 2 1\n",
    "oxford-iiit-pet/annotations/trimaps/Abyssinian_1.png": b"a mask",
    **{f"oxford-iiit-pet/images/{name}.jpg": JPEG for name in PET_NAMES},
    "oxford-iiit-pet/images/Abyssinian_1.mat": b"whatever",
}
FOOD: Mapping[str, bytes] = {
    "food-101/meta/train.txt": b"sushi/12\napple_pie/3\n",
    "food-101/meta/test.txt": b"sushi/4\r\n",
    "food-101/meta/classes.txt": b"apple_pie\nsushi\n",
    **{f"food-101/images/{name}.jpg": JPEG for name in ("sushi/12", "sushi/4", "apple_pie/3")},
}
BIRDS: Mapping[str, bytes] = {
    "CUB_200_2011/classes.txt": b"1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n",
    "CUB_200_2011/images.txt": b"1 001.Black_footed_Albatross/a_1.jpg\n2 002.Laysan_Albatross/b_2.jpg\n",
    "CUB_200_2011/image_class_labels.txt": b"1 1\n2 2\n",
    "CUB_200_2011/train_test_split.txt": b"1 0\n2 1\n",
    "CUB_200_2011/images/001.Black_footed_Albatross/a_1.jpg": JPEG,
    "CUB_200_2011/images/002.Laysan_Albatross/b_2.jpg": JPEG,
}

LAYOUTS = {
    "pets": Layout("pets", matches_pets, read_pets),
    "food": Layout("food", matches_food, read_food),
    "birds": Layout("birds", matches_birds, read_birds),
}
FILES = {"pets": PETS, "food": FOOD, "birds": BIRDS}


def told(listing: Listing) -> dict[str, tuple[str | None, str]]:
    return {image.image_id.rpartition("images/")[2]: (image.label, image.split) for image in listing.images}


@pytest.mark.parametrize("place", ["disk", "zip"])
def test_pets_are_named_by_their_files_and_trained_on_as_published(tmp_path: Path, place: str) -> None:
    source = write(tmp_path, PETS) if place == "disk" else pack(PETS)
    assert matches_pets(source)
    listing = read_pets(source, CONFIG)
    assert told(listing) == {
        "american_bulldog_2.jpg": ("american_bulldog", "train"),
        "Abyssinian_100.jpg": ("Abyssinian", "train"),
        "Abyssinian_1.jpg": ("Abyssinian", "test"),
        "american_bulldog_3.jpg": ("american_bulldog", "test"),
    }
    assert list(listing.class_names) == ["Abyssinian", "american_bulldog"]
    assert listing.split_from == "annotations/trainval.txt and annotations/test.txt"
    assert [other.name for other in listing.passed_over] == ["oxford-iiit-pet/images/saint_bernard_7.jpg"]


def test_food_has_its_published_split(tmp_path: Path) -> None:
    source = write(tmp_path, FOOD)
    assert list_images(source, CONFIG).layout == "Food-101"
    listing = read_food(source, CONFIG)
    assert told(listing) == {
        "sushi/12.jpg": ("sushi", "train"),
        "apple_pie/3.jpg": ("apple_pie", "train"),
        "sushi/4.jpg": ("sushi", "test"),
    }
    assert list(listing.class_names) == ["apple_pie", "sushi"]


def test_birds_have_their_published_split(tmp_path: Path) -> None:
    source = write(tmp_path, BIRDS)
    assert list_images(source, CONFIG.model_copy(update={"keep_split": False})).layout == "CUB-200-2011"
    assert told(read_birds(source, CONFIG)) == {
        "001.Black_footed_Albatross/a_1.jpg": ("001.Black_footed_Albatross", "test"),
        "002.Laysan_Albatross/b_2.jpg": ("002.Laysan_Albatross", "train"),
    }


@pytest.mark.parametrize("levels", ["2750", "eurosat/2750"])
def test_eurosat_is_class_folders_a_level_down(tmp_path: Path, levels: str) -> None:
    files = {f"{levels}/{name}/{name}_{number}.jpg": JPEG for name in ("Forest", "River") for number in (1, 2)}
    listing = list_images(write(tmp_path, files), CONFIG)
    assert sorted(str(image.label) for image in listing.images) == ["Forest", "Forest", "River", "River"]


@pytest.mark.parametrize("name", FILES)
def test_missing_images_are_counted_and_the_others_read(tmp_path: Path, name: str) -> None:
    files = dict(FILES[name])
    gone = next(file for file in files if file.endswith(".jpg"))
    del files[gone]
    listing = LAYOUTS[name].read(write(tmp_path, files), CONFIG)
    assert any(note.startswith(f"1 of {len(listing.images) + 1} images that ") for note in listing.notes)


@pytest.mark.parametrize(
    ("name", "file", "content", "complaint"),
    [
        ("pets", "annotations/test.txt", b"Abyssinian_1", "holds the line 'Abyssinian_1', but lines are as"),
        ("pets", "annotations/test.txt", b"Abyssinian_1 2 1 1", "gives Abyssinian the class 2 and 1"),
        ("pets", "annotations/test.txt", b"Abyssinian_100 1 1 1", "name images/Abyssinian_100.jpg twice"),
        ("pets", "annotations/test.txt", b"\xff", "annotations/test.txt cannot be read"),
        ("food", "meta/train.txt", b"sushi", "holds the line 'sushi', but lines are as 'apple_pie/1005649'"),
        ("food", "meta/classes.txt", b"pizza", "names other classes than the lists"),
        ("birds", "images.txt", b"one file", "holds the line 'one file'"),
        ("birds", "train_test_split.txt", b"1 0", "image 2 of images.txt lacks a class or a split"),
    ],
)
def test_a_damaged_list_is_named(tmp_path: Path, name: str, file: str, content: bytes, complaint: str) -> None:
    root = next(iter(FILES[name])).partition("/")[0]
    source = write(tmp_path, {**FILES[name], f"{root}/{file}": content})
    with pytest.raises(DataError, match=complaint):
        LAYOUTS[name].read(source, CONFIG)


@pytest.mark.parametrize(
    "files",
    [
        {"meta/train.txt": b"x", "images/cat/a.jpg": JPEG},
        {"annotations/test.txt": b"x", "images/cat.jpg": JPEG},
        {"cat/1.jpg": JPEG, "dog/1.jpg": JPEG, "images.txt": b""},
    ],
)
def test_other_lists_are_not_taken_for_these_sets(tmp_path: Path, files: dict[str, bytes]) -> None:
    source = write(tmp_path, files)
    assert not any(layout.matches(source) for layout in LAYOUTS.values())


@pytest.mark.parametrize("name", FILES)
def test_no_damage_raises_anything_but_a_data_error(name: str) -> None:
    assert read_damaged(LAYOUTS[name], FILES[name]) > 3
