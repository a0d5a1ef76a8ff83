"""What a sweep file may say of its data, and what comes of it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from trainables.config.data import DataConfig
from trainables.datasets.fashion_mnist import DEBIAN
from trainables.datasets.load import load_images
from trainables.errors import DataError
from trainables.store import layout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes of ten distinct images."""
    for at in range(20):
        folder = tmp_path / "tree" / ("cat", "dog")[at % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6), at, np.uint8)).save(folder / f"{at}.png")
    return tmp_path / "tree"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({}, "data names no images: give `name`, `path` or `csv`"),
        ({"path": "a", "csv": "b"}, "data names both `path` and `csv`: keep one"),
        ({"name": "digits", "path": "a", "csv": "b"}, "data names `name` and `path` and `csv`: keep one"),
        ({"name": "mnist"}, "'digits', 'fashion-mnist', 'arrays', module:function or package/name"),
        ({"path": ""}, "data.path is empty"),
        ({"path": "a", "background": "blu"}, "'blu' is no colour: name white, black, grey or #rrggbb"),
        ({"path": "a", "group": 0}, "data.group is 0: levels of folders are counted from 1"),
        ({"path": "a", "source": "^(a"}, "no regular expression"),
        ({"path": "a", "label_regex": "^[a-z]+"}, "which has no bracket"),
        ({"path": "a", "size": [3]}, "at least 2"),
        (
            {"path": "a", "delimiter": "||"},
            "'||' is no delimiter: give one character in quotes, or name comma, semicolon",
        ),
        ({"name": "digits", "bits": 12}, "data.bits means nothing without `path`: remove it"),
        ({"name": "digits", "root": "b"}, "data.root means nothing to `name` here"),
        ({"name": "digits", "label_column": "kind"}, "data.label_column means nothing without `path`"),
        ({"name": "digits", "size": 0}, "greater than or equal to 1"),
        ({"name": "digits", "size": "32"}, "valid integer"),
        ({"name": "digits", "channels": 2}, "1 or 3"),
        ({"name": "digits", "validation": 0}, "greater than 0"),
        ({"name": "digits", "test": 0.9}, "less than 0.9"),
        ({"name": "digits", "test": float("nan")}, "finite number"),
        ({"name": "digits", "validation": 0.5, "test": 0.45}, "leave less than 5 % for training"),
        ({"name": "digits", "split_seed": -1}, "greater than or equal to 0"),
        ({"name": "digits", "batch": 3}, "Extra inputs"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        DataConfig.model_validate(wrong)


def test_a_configuration_written_out_whole_can_be_read_again() -> None:
    config = DataConfig(name="digits", size=16)
    assert DataConfig.model_validate(config.model_dump()) == config


def test_digits_are_split_by_share_with_every_class_in_every_split() -> None:
    images = load_images(DataConfig(name="digits"))
    assert [len(images.rows(split)) for split in layout.SPLITS] == [1257, 270, 270]
    for split in layout.SPLITS:
        held = np.bincount(images.labels[images.rows(split)])
        share = len(images.rows(split)) / 1797
        assert np.abs(held - np.bincount(images.labels) * share).max() < 1.5


def test_a_known_set_has_the_height_and_the_width_that_are_asked_for() -> None:
    assert load_images(DataConfig(name="digits", size=[6, 9], train=50)).pixels.shape[1:] == (6, 9, 1)


def test_the_fingerprint_of_digits_never_changes() -> None:
    # It is part of every trial's id, and so the name of everything in a store: see test_config.py.
    assert load_images(DataConfig(name="digits")).data_id == "484e52664484970a"


def test_another_split_seed_gives_another_fingerprint(tree: Path) -> None:
    first, second = (load_images(DataConfig(path=str(tree), split_seed=seed)) for seed in (0, 1))
    assert first.image_sha256 == second.image_sha256
    assert first.data_id != second.data_id


def test_a_tree_is_split_by_pixels_whatever_its_files_are_called(tree: Path) -> None:
    config = DataConfig(path=str(tree), validation=0.2, test=0.3)
    before = load_images(config)
    for at, file in enumerate(sorted(tree.rglob("*.png"))):
        file.rename(file.with_name(f"renamed{97 * at % 20:02d}.png"))
    after = load_images(config)
    assert [len(before.rows(split)) for split in layout.SPLITS] == [10, 4, 6]
    assert dict(zip(before.image_sha256, before.splits, strict=True)) == dict(
        zip(after.image_sha256, after.splits, strict=True)
    )


def test_a_table_of_the_same_files_gives_the_fingerprint_of_the_tree(tree: Path, tmp_path: Path) -> None:
    files = sorted(file.relative_to(tree) for file in tree.rglob("*.png"))
    lines = ["file,kind", *(f"{file},{file.parts[0]}" for file in files)]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    config = DataConfig(
        csv=str(tmp_path / "labels.csv"), root=str(tree), image_column="file", label_column="kind", size=8, channels=3
    )
    images = load_images(config)
    assert images.pixels.shape == (20, 8, 8, 3)
    assert images.data_id == load_images(DataConfig(path=str(tree), size=8, channels=3)).data_id


def test_a_home_folder_can_be_meant_by_a_tilde(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree.parent))
    assert len(load_images(DataConfig(path="~/tree")).pixels) == 20


def test_too_few_images_for_the_split_are_refused(tree: Path) -> None:
    for file in sorted((tree / "cat").iterdir())[2:]:
        file.unlink()
    for file in sorted((tree / "dog").iterdir())[2:]:
        file.unlink()
    with pytest.raises(DataError, match=r"split would hold . images for 2 classes"):
        load_images(DataConfig(path=str(tree)))


@pytest.mark.skipif(not DEBIAN.is_dir(), reason=f"no {DEBIAN}: apt-get install dataset-fashion-mnist")
def test_the_published_test_split_of_fashion_mnist_stays_as_it_is() -> None:
    images = load_images(DataConfig(name="fashion-mnist", root=str(DEBIAN), test=0.5))
    assert {images.image_ids[row] for row in images.rows("test")} == {f"test/{row:05d}" for row in range(10_000)}
    assert np.bincount(images.labels[images.rows("validation")]).tolist() == [900] * 10
    assert images.data_id == "8debf7b7191f2d1d"


def test_images_are_had_without_torch() -> None:
    look = "import sys, trainables.datasets.load as data; data.load_images(data.DataConfig(name='digits')); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize(("word", "character"), [("tab", "\t"), ("pipe", "|"), (";", ";"), ("comma", ",")])
def test_a_delimiter_may_be_named_where_a_shell_or_yaml_would_take_it_for_something_else(
    word: str, character: str
) -> None:
    assert DataConfig(path="a", delimiter=word).delimiter == character


def test_a_column_without_a_name_has_its_number() -> None:
    assert DataConfig.model_validate({"path": "a", "image_column": 0, "label_column": 1}).label_column == "1"
