"""What `save_to_disk` of Hugging Face's `datasets` wrote is read in its splits."""

from __future__ import annotations

import json

import pytest

from tests.trainables.layouts.memory_place import labels_of, listed, splits_of
from tests.trainables.layouts.tables.test_parquet_images import TOLD, shard
from trainables.errors import DataError

FILE = "data-00000-of-00001.arrow"


def saved(folder: str = "", **state: object) -> dict[str, bytes]:
    state = {"_data_files": [{"filename": FILE}], **state}
    return {
        f"{folder}{FILE}": shard(form="arrow", told=None),
        f"{folder}state.json": json.dumps(state).encode(),
        f"{folder}dataset_info.json": json.dumps(TOLD["info"]).encode(),
        f"{folder}cache-17.arrow": b"",
    }


def test_one_set_is_read_with_its_class_names() -> None:
    listing = listed(saved())
    assert labels_of(listing) == {"0.png": "cat", "1.png": "dog", "2.png": "cat", "3.png": "dog"}
    assert (listing.layout, listing.split_from) == ("a saved data set (Arrow)", "")


def test_folders_are_splits() -> None:
    listing = listed({**saved("train/"), **saved("test/"), "dataset_dict.json": b'{"splits": ["train", "test"]}'})
    assert sorted(splits_of(listing).values()) == ["test"] * 4 + ["train"] * 4
    assert listing.split_from == "folders"


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        (saved(_data_files=[]), "state.json names no file under `_data_files`"),
        (saved(_data_files=[{"filename": "x.arrow"}]), "state.json names x.arrow, which is not there"),
        (saved(_indices_files=[{"filename": "i.arrow"}]), "is a selection of rows .*flatten_indices"),
        ({**saved(), "state.json": b"{"}, "state.json is no JSON"),
        ({**saved(), "state.json": b"[]"}, "state.json is no JSON object"),
        ({**saved(), FILE: b"ARROW1"}, "cannot be read as Parquet or Arrow"),
        ({"dataset_dict.json": b"{}", "train/x.arrow": b""}, "dataset_dict.json and no folder with state.json"),
    ],
)
def test_a_folder_that_is_incomplete_is_refused(contents: dict[str, bytes], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        listed(contents)
