"""The record of a data set, written once and read without pixels."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sample_runs.damage import flip
from trainables.data.data_table import read_data_table, read_understood, write_data_table
from trainables.data.finding import DataFinding, FoundInData
from trainables.data.images import ImageSet
from trainables.data.reading import PassedOver, Reading
from trainables.errors import DamagedObject, ObjectMissing, StoreError
from trainables.store.folder import Folder
from trainables.store.json_records import get_json, seal_json, to_json


def make() -> ImageSet:
    """Five grey images of 2 x 3 points; the second and last are for validation, the third for test."""
    return ImageSet(
        name="tiny",
        pixels=np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3, 1),
        labels=np.array([0, 1, 1, 0, 0]),
        image_ids=("a.png", "b.png", "c/ü.png", "d.png", "e.png"),
        class_names=("cat", "<b>dog"),
        splits=np.array([0, 1, 2, 0, 1], np.int8),
    )


def test_the_record_gives_back_everything_but_pixels(tmp_path: Path) -> None:
    images = make()
    write_data_table(Folder(tmp_path), images)
    table = read_data_table(Folder(tmp_path), images.data_id)
    assert (table.data_id, table.name) == (images.data_id, "tiny")
    assert table.class_names == ("cat", "<b>dog")
    assert table.image_ids == images.image_ids
    assert (table.labels.tolist(), table.labels.dtype) == ([0, 1, 1, 0, 0], np.int64)
    assert (table.splits.tolist(), table.splits.dtype) == ([0, 1, 2, 0, 1], np.int8)


def test_each_split_has_its_rows_and_labels(tmp_path: Path) -> None:
    images = make()
    write_data_table(Folder(tmp_path), images)
    table = read_data_table(Folder(tmp_path), images.data_id)
    assert {split: table.rows(split).tolist() for split in ("train", "validation", "test")} == {
        "train": [0, 3],
        "validation": [1, 4],
        "test": [2],
    }
    assert table.labels_of("validation").tolist() == [1, 0]
    little_endian = (1).to_bytes(8, "little") + (0).to_bytes(8, "little")
    assert table.labels_sha256("validation") == hashlib.sha256(little_endian).hexdigest()


def test_the_summary_counts_images_by_split(tmp_path: Path) -> None:
    images = make()
    write_data_table(Folder(tmp_path), images)
    summary = get_json(Folder(tmp_path), f"data/{images.data_id}/data.json")
    # Training images are numbers 0 and 3: the grey levels 0 to 5 and 18 to 23.
    assert summary.pop("normalisation") == {
        "mean": [pytest.approx(11.5 / 255)],
        "std": [pytest.approx(np.std([*range(6), *range(18, 24)]) / 255)],
    }
    assert (
        summary.pop("images_sha256")
        == hashlib.sha256((tmp_path / "data" / images.data_id / "images.parquet").read_bytes()).hexdigest()
    )
    assert summary == {
        "name": "tiny",
        "class_names": ["cat", "<b>dog"],
        "image_shape": {"height": 2, "width": 3, "channels": 1},
        "images": {"train": 2, "validation": 2, "test": 1},
        "columns": [],
        "understood": ["2 classes: cat 3, <b>dog 2 · split dealt: train 2, validation 2, test 1"],
        # Both training images are cats, and the one test image is a dog.
        "floor": {"chance": 0.5, "largest_class": 0.0, "class_name": "cat", "nearest_neighbour": 0.0},
    }


def test_groups_sources_and_what_was_passed_over_are_on_record(tmp_path: Path) -> None:
    images = replace(
        make(),
        groups=("p", "q", "p", "r", "q"),
        sources=("x", "x", "y", "y", "x"),
        reading=Reading("class folders", "folders", 2, (PassedOver("a.heic", "HEIC"),), ("say so",)),
    )
    store = Folder(tmp_path)
    write_data_table(store, images)
    table = read_data_table(store, images.data_id)
    assert (table.groups, table.sources) == (images.groups, images.sources)
    assert table.sources_of("validation") == [images.sources[row] for row in images.rows("validation")]
    assert store.get(f"data/{images.data_id}/passed_over.tsv") == b"a.heic\tHEIC\n"
    assert read_understood(store, images.data_id) == [
        "class folders · 2 classes: cat 3, <b>dog 2 · split given by folders: train 2, validation 2, test 1 · 3 groups · 2 sources"
        " · 2 images without a label left out · 1 file passed over (.heic)",
        "say so",
    ]
    assert read_understood(store, "0" * 16) == []


def test_each_image_has_the_hash_of_its_pixels(tmp_path: Path) -> None:
    images = make()
    write_data_table(Folder(tmp_path), images)
    stored = pq.read_table(io.BytesIO(Folder(tmp_path).get(f"data/{images.data_id}/images.parquet")))
    assert stored.column_names == ["image_id", "sha256", "label", "split"]
    assert stored["sha256"].to_pylist()[1] == hashlib.sha256(bytes(range(6, 12))).digest()


def test_a_record_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    images, store = make(), Folder(tmp_path)
    write_data_table(store, images)
    before = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.*"))]
    write_data_table(store, images)
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.*"))] == before


def test_a_record_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    images, store = make(), Folder(tmp_path)
    store.put(f"data/{images.data_id}/images.parquet", b"half")
    write_data_table(store, images)
    assert read_data_table(store, images.data_id).labels.tolist() == [0, 1, 1, 0, 0]


@pytest.mark.parametrize("part", ["data.json", "images.parquet"])
def test_a_record_with_a_flipped_bit_is_an_error_and_is_written_again(tmp_path: Path, part: str) -> None:
    images, store = make(), Folder(tmp_path)
    write_data_table(store, images)
    path = tmp_path / "data" / images.data_id / part
    whole = path.read_bytes()
    for at in range(0, 8 * len(whole), 61):
        path.write_bytes(flip(whole, at))
        with pytest.raises(DamagedObject):
            read_data_table(store, images.data_id)
    write_data_table(store, images)
    assert path.read_bytes() == whole


def test_data_that_was_never_recorded_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing):
        read_data_table(Folder(tmp_path), "never")


def parquet(columns: dict[str, list[object]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    "data", [b"", b"PAR1 no more", parquet({"image_id": ["a"], "label": [0]})], ids=["empty", "cut", "no split"]
)
def test_a_damaged_table_is_an_error_that_says_what_to_do(tmp_path: Path, data: bytes) -> None:
    images, store = make(), Folder(tmp_path)
    write_data_table(store, images)
    store.put(f"data/{images.data_id}/images.parquet", data)
    with pytest.raises(DamagedObject, match=f"delete data/{images.data_id}, the next run writes it again"):
        read_data_table(store, images.data_id)


@pytest.mark.parametrize("summary", [{}, {"name": "tiny"}, {"name": "tiny", "class_names": "cat"}])
def test_a_damaged_summary_is_an_error(tmp_path: Path, summary: dict[str, object]) -> None:
    images, store = make(), Folder(tmp_path)
    write_data_table(store, images)
    store.put(f"data/{images.data_id}/data.json", to_json(summary))
    with pytest.raises(DamagedObject):
        read_data_table(store, images.data_id)
    store.put(f"data/{images.data_id}/data.json", b"?")
    with pytest.raises(StoreError):
        read_data_table(store, images.data_id)


def test_what_was_found_in_the_images_is_on_record_with_its_thumbnails(tmp_path: Path) -> None:
    many = tuple(f"{number}.png" for number in range(30))
    finding = DataFinding("duplicates", many, "<b>30 images", "data.leave_out=FILE", many[1:], is_wrong=True)
    images, store = make(), Folder(tmp_path)
    write_data_table(store, images, lambda _: FoundInData((finding,), {"0.png": b"\x89PNG"}))
    found = read_data_table(store, images.data_id).found
    # A record names the first images, and what is to be left out is for `caucus doctor` to say.
    assert found == FoundInData((replace(finding, images=many[:24], leave_out=()),), {"0.png": b"\x89PNG"})

    def fail(_: ImageSet) -> FoundInData:
        raise AssertionError("a record that is there needs no other look")

    write_data_table(store, images, fail)


def test_a_record_without_findings_is_read_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    images, store = make(), Folder(tmp_path)
    write_data_table(store, images)
    key = f"data/{images.data_id}/data.json"
    assert read_data_table(store, images.data_id).found == FoundInData()
    summary = get_json(store, key)
    for damage in (
        {"findings": ["x"]},
        {"findings": [{}]},
        {"findings": 3},
        {"thumbnails": {"a": "?"}},
        {"thumbnails": []},
    ):
        store.put(key, seal_json(summary | damage))
        with pytest.raises(DamagedObject):
            read_data_table(store, images.data_id)
