"""Images of data frames: the same as those of the table on a disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from trainables.config.data import DataConfig
from trainables.datasets.frame import images_from_frame, is_frame
from trainables.datasets.load import load_images
from trainables.errors import DataError

COUNT = 24


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Columns of a frame whose files lie in `pictures`, below the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    names = [f"pictures/{number}.png" for number in range(COUNT)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8)).save(tmp_path / name)
    return {
        "file": names,
        "species": ["cat" if number % 2 else "dog" for number in range(COUNT)],
        "patient": [number // 4 for number in range(COUNT)],
    }


def read_table(rows: dict[str, list[Any]], tmp_path: Path, **keys: Any) -> str:
    pd.DataFrame(rows).to_csv(tmp_path / "list.csv", index=False)
    return load_images(DataConfig.model_validate({"path": str(tmp_path / "list.csv"), **keys})).data_id


def test_a_frame_is_read_as_the_same_table_on_a_disk(rows: dict[str, list[Any]], tmp_path: Path) -> None:
    keys: dict[str, Any] = {"label_column": "species", "group": "patient", "validation": 0.2, "test": 0.2}
    expected = read_table(rows, tmp_path, **keys)
    frame = pd.DataFrame(rows, index=range(100, 100 + COUNT))  # an index is no column
    images = images_from_frame(frame, **keys)
    assert (images.data_id, images.class_names, len(images.labels)) == (expected, ("cat", "dog"), COUNT)
    assert images_from_frame(pa.table(rows), **keys).data_id == expected
    shuffled = frame.sample(frac=1, random_state=3)
    assert images_from_frame(shuffled, **keys).data_id == expected


def test_paths_may_be_absolute_or_objects_and_a_split_is_kept(rows: dict[str, list[Any]], tmp_path: Path) -> None:
    split = ["test" if number < 8 else "val" if number < 14 else "train" for number in range(COUNT)]
    keys: dict[str, Any] = {"label_column": "species"}
    expected = read_table({**rows, "split": split}, tmp_path, **keys)
    there = {**rows, "file": [tmp_path / name for name in rows["file"]], "split": pd.Categorical(split)}
    images = images_from_frame(pd.DataFrame(there), **keys)
    assert images.data_id == expected
    assert images.image_ids[0].endswith(".png")
    assert [len(images.rows(name)) for name in ("train", "validation", "test")] == [10, 6, 8]


def test_encoded_images_may_lie_in_the_frame(rows: dict[str, list[Any]], tmp_path: Path) -> None:
    expected = read_table(rows, tmp_path, label_column="species")
    inside = {"image": [(tmp_path / name).read_bytes() for name in rows["file"]], "label": rows["species"]}
    assert images_from_frame(pd.DataFrame(inside)).data_id == expected


@pytest.mark.parametrize(
    ("change", "keys", "said"),
    [
        ({"file": ["gone.png"] * COUNT}, {}, "gone.png"),
        ({"species": [None, *["cat"] * (COUNT - 1)]}, {"label_column": "species"}, "species"),
        ({"file": [np.zeros((6, 6))] * COUNT}, {}, "hand images in memory over as"),
        ({}, {"label_column": "breed"}, "breed"),
        ({}, {"path": "x"}, "path means nothing where a data frame names the images"),
        ({}, {"sise": 32}, "sise"),
    ],
)
def test_what_a_frame_lacks_is_said(
    rows: dict[str, list[Any]], change: dict[str, list[Any]], keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        images_from_frame(pd.DataFrame({**rows, **change}), **keys)


def test_what_is_a_frame_is_seen_without_importing_its_library() -> None:
    assert is_frame(pd.DataFrame({"a": [1]}))
    assert is_frame(pa.table({"a": [1]}))
    assert not any(is_frame(value) for value in ("digits", (np.zeros(3), [1]), {"path": "x"}, np.zeros(3)))
