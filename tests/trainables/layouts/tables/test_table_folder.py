"""A folder whose tables name its images is read by the tables; one of class folders is not."""

from __future__ import annotations

import pytest

from tests.trainables.layouts.memory_place import MemoryPlace, images, labels_of, listed, splits_of
from trainables.errors import DataError
from trainables.layouts.tables.table_folder import matches_table_folder
from trainables.places.open import Source


def rows(*names: str, header: str = "file_name,label") -> str:
    return f"{header}\n" + "".join(f"{name},{'ab'[at % 2]}\n" for at, name in enumerate(names))


def test_metadata_names_the_images_of_its_folder() -> None:
    listing = listed({**images("1.png", "2.png"), "metadata.csv": rows("1.png", "2.png")})
    assert labels_of(listing) == {"1.png": "a", "2.png": "b"}
    assert (listing.layout, listing.split_from, listing.notes) == ("images with a table (metadata.csv)", "", [])


def test_metadata_in_split_folders_gives_the_split() -> None:
    contents = {
        **images("train/1.png", "train/2.png", "test/1.png"),
        "train/metadata.csv": rows("1.png", "2.png"),
        "test/metadata.jsonl": '{"file_name": "1.png", "label": "b"}\n',
    }
    listing = listed(contents)
    assert splits_of(listing) == {"train/1.png": "train", "train/2.png": "train", "test/1.png": "test"}
    assert labels_of(listing)["test/1.png"] == "b"
    assert listing.split_from == "folders"


def test_one_metadata_above_split_folders_gives_the_split() -> None:
    names = ["train/1.png", "train/2.png", "test/1.png", "test/2.png"]
    listing = listed({**images(*names), "metadata.csv": rows(*names)})
    assert splits_of(listing) == {name: name.split("/")[0] for name in names}


def test_a_contest_has_a_table_for_each_split_and_none_for_the_test_labels() -> None:
    contents = {
        **images("train/1.jpg", "train/2.jpg", "train/3.jpg", "test/1.jpg", "test/2.jpg"),
        "train.csv": "id,breed\n1,a\n2,b\n",
        "val.csv": "id,breed\n3,a\n",
        "test.csv": "id\n1\n2\n",
        "sample_submission.csv": "id,breed\n1,a\n2,a\n",
    }
    listing = listed(contents)
    assert labels_of(listing) == {
        "train/1.jpg": "a",
        "train/2.jpg": "b",
        "train/3.jpg": "a",
        "test/1.jpg": None,
        "test/2.jpg": None,
    }
    assert splits_of(listing)["train/3.jpg"] == "validation"
    assert splits_of(listing)["train/1.jpg"] == "train"
    assert listing.split_from == "the tables' names"


def test_a_table_beside_a_folder_of_images_is_read_and_the_rest_is_counted() -> None:
    contents = {**images("img/1.png", "img/2.png", "img/3.png"), "labels.csv": "image,label\n1.png,a\n2.png,b\n"}
    listing = listed({**contents, "readme.txt": "Pictures of a and b.\nFrom a zoo.\n", "classes.txt": "a\nb\n"})
    assert labels_of(listing) == {"img/1.png": "a", "img/2.png": "b"}
    assert any("1 image is in no row" in note for note in listing.notes)


def test_parts_of_a_set_are_no_classes_where_a_table_says_otherwise() -> None:
    names = ["part_1/1.png", "part_1/2.png", "part_2/3.png", "part_2/4.png"]
    listing = listed({**images(*names), "meta.csv": "image_id,dx\n1,mel\n2,nv\n3,mel\n4,nv\n"})
    assert labels_of(listing) == dict(zip(names, ["mel", "nv", "mel", "nv"], strict=True))


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"labels.csv": "image,label\ncat/1.png,cat\ndog/1.png,dog\n"},
        {"classes.txt": "cat\ndog\n"},
        {"x.csv": "a,b\n1,2\n"},
    ],
    ids=["none", "the same labels", "names of classes", "something else"],
)
def test_class_folders_stay_class_folders(tables: dict[str, str]) -> None:
    contents = {**images("cat/1.png", "cat/2.png", "dog/1.png"), **tables}
    assert listed(contents).layout == "class folders"


@pytest.mark.parametrize("file", ["a.csv", "metadata.csv", "t.parquet", "t.json", "t.txt"])
@pytest.mark.parametrize("data", [b"", b"\x00\xff", b'"', b"[[[", b"PAR1"], ids=repr)
def test_a_foreign_folder_never_stops_the_search_for_a_layout(file: str, data: bytes) -> None:
    matches_table_folder(Source(MemoryPlace({**images("1.png", "cat/2.png", "dog/3.png"), file: data})))


def test_two_tables_that_name_the_images_are_refused_by_name() -> None:
    text = "image,label\n1.png,a\n2.png,b\n"
    with pytest.raises(
        DataError, match=r"2 tables in memory name its images, one.csv, two.csv: name one with data.path="
    ):
        listed({**images("1.png", "2.png"), "one.csv": text, "two.csv": text})
