"""Images of a plug-in: how it is called, what it may return, and how they are split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.config.data import DataConfig
from trainables.data.images import ImageSet
from trainables.datasets.load import load_images
from trainables.errors import DataError, PluginUnusable
from trainables.plugins.kinds import DATA

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 5, 4), dtype=np.uint8)
NAMES = ["a", "b"]

called: list[dict[str, Any]] = []


@DATA.register("mine/made")
def load(size: int | None = None, *, root: Path | None = None, year: int = 2000, how: str = "named") -> Any:
    called.append({"size": size, "root": root, "year": year})
    labels = np.arange(40) % 2
    ids = tuple(f"{number}.png" for number in range(40))
    test = np.where(np.arange(40) < 10, 2, 0).astype(np.int8)
    answers: dict[str, Any] = {
        "named": (PIXELS, labels, NAMES),
        "words": (PIXELS / 255, ["x" if label else "y" for label in labels]),
        "set": ImageSet("made", PIXELS[..., None], labels, ids, ("a", "b"), test),
        "one": PIXELS,
        "short": (PIXELS, labels[:3]),
    }
    return 1 / 0 if how == "raises" else answers[how]


def load_made(**keys: object) -> ImageSet:
    return load_images(DataConfig.model_validate({"name": "mine/made", **keys}))


def test_it_is_called_with_the_keys_that_its_signature_names() -> None:
    called.clear()
    load_made(size=5, root="~/pets", year=2024)
    assert called == [{"size": 5, "root": Path("~/pets").expanduser(), "year": 2024}]


def test_arrays_are_split_and_named_by_their_content() -> None:
    images = load_made()
    assert (images.name, images.class_names, images.pixels.shape) == ("mine/made", ("a", "b"), (40, 5, 4, 1))
    assert [len(images.rows(split)) for split in ("train", "validation", "test")] == [28, 6, 6]
    assert load_made(year=1999).data_id == images.data_id  # the same images
    assert load_made(split_seed=1).data_id != images.data_id
    assert load_made(how="words").class_names == ("x", "y")


def test_an_image_set_may_have_a_published_test_split() -> None:
    images = load_made(how="set")
    assert {images.image_ids[row] for row in images.rows("test")} == {f"{row}.png" for row in range(10)}
    assert len(images.rows("validation")) + len(images.rows("train")) == 30


@pytest.mark.parametrize(
    ("keys", "error", "said"),
    [
        ({"yaer": 1}, PluginUnusable, "data.yaer is 1, but mine/made takes no yaer: it takes how, root, size, year"),
        ({"channels": 3}, PluginUnusable, "data.channels is 3, but mine/made takes no channels"),
        ({"how": "one"}, DataError, r"data.name is mine/made: it returned ndarray, but \(images, labels\)"),
        ({"how": "short"}, DataError, "data.name is mine/made: data has 40 images and 3 labels"),
        ({"how": "raises"}, DataError, "data.name is mine/made: it raised ZeroDivisionError"),
    ],
)
def test_what_is_no_data_source_is_refused_with_its_name(keys: dict[str, object], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        load_made(**keys)


def test_no_other_source_has_keys_of_its_own() -> None:
    with pytest.raises(ValueError, match="year"):
        DataConfig.model_validate({"name": "digits", "year": 2024})


def test_a_set_that_is_known_by_its_name_has_groups_and_sources_by_the_names_of_its_images() -> None:
    images = load_made(how="set", keep_split=False, group="^([0-9]+?)[0-9]?[.]", source="([0-9])[.]")
    assert images.groups is not None
    assert images.sources is not None
    assert {len(images.groups[row]) for row in range(40)} == {1}
    assert dict(zip(images.image_ids, images.sources, strict=True))["37.png"] == "7"
    for group in set(images.groups):
        assert len({images.splits[row] for row in range(40) if images.groups[row] == group}) == 1
    with pytest.raises(DataError, match=r"data\.group is 'patient', but the data has no table"):
        load_made(group="patient")


def test_the_images_of_a_source_that_is_held_out_are_the_test_split_and_no_others() -> None:
    images = load_made(how="set", source="([0-9])[.]", hold_out=7)
    assert {images.image_ids[row] for row in images.rows("test")} == {"7.png", "17.png", "27.png", "37.png"}
    assert len(images.rows("validation")) == 5  # 0.15 of the other 36
    assert images.reading.split_from == "the set and data.hold_out"
    both = load_made(how="set", keep_split=False, source="([0-9])[.]", hold_out="7,3")
    assert {name[-5] for name in (both.image_ids[row] for row in both.rows("test"))} == {"7", "3"}
    assert both.reading.split_from == "data.hold_out"


def test_groups_that_a_source_held_out_tears_apart_are_said() -> None:
    images = load_made(how="set", keep_split=False, source="([0-9])[.]", group="^([0-9])", hold_out="7")
    assert any("the split given by data.hold_out tears" in note for note in images.reading.notes)


@pytest.mark.parametrize(
    ("keys", "error", "said"),
    [
        ({"hold_out": "7"}, None, "data.source does not say"),
        (
            {"hold_out": "x", "source": "([0-9])[.]"},
            DataError,
            "hold_out names 'x', but the sources are 0, 1, 2 and 7 more",
        ),
        ({"hold_out": [str(digit) for digit in range(10)], "source": "([0-9])[.]"}, DataError, "names all 10 sources"),
        ({"hold_out": "7"}, DataError, "the images have none"),
    ],
)
def test_what_cannot_be_held_out_is_refused(keys: dict[str, Any], error: type[Exception] | None, said: str) -> None:
    if error is None:
        with pytest.raises(ValueError, match=said):
            DataConfig.model_validate({"name": "digits", **keys})
        return
    with pytest.raises(error, match=said):
        load_made(how="set", **keys)


def test_a_source_of_ones_own_is_asked_for_one_number_alone() -> None:
    called.clear()
    load_made(size=[9, 9])
    assert called[0]["size"] == 9
    with pytest.raises(
        DataError, match=r"^data.size is \[9, 7\], but data.name is mine/made, and a plug-in is asked for one"
    ):
        load_made(size=[9, 7])


def test_a_set_that_is_known_by_its_name_leaves_out_what_a_list_names(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("digits/0003\tblurred\n# a comment\ndigits/0007 # and another\n")
    images = load_images(DataConfig(name="digits", leave_out=str(listed)))
    assert len(images.pixels) == 1795
    assert not {"digits/0003", "digits/0007"} & set(images.image_ids)
    assert [one.name for one in images.reading.passed_over] == ["digits/0003", "digits/0007"]
    listed.write_text("digits/9999\n")
    with pytest.raises(DataError, match=r"names 1 image\(s\) that the data does not have, as 'digits/9999'"):
        load_images(DataConfig(name="digits", leave_out=str(listed)))
