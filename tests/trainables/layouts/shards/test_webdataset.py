"""Tar archives of samples are read with the label that lies beside each image."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

import pytest

from tests.trainables.layouts.memory_place import PNG, labels_of, listed, splits_of
from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.base.listing import Listing
from trainables.layouts.detect import list_images
from trainables.places.archive import TarPlace
from trainables.places.open import Source


def packed(files: Mapping[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return sink.getvalue()


def samples(first: int = 0, **endings: list[str]) -> dict[str, bytes]:
    count = len(next(iter(endings.values())))
    files: dict[str, bytes] = {}
    for at in range(count):
        files[f"{first + at:04d}.jpg"] = PNG
        files |= {f"{first + at:04d}.{ending}": texts[at].encode() for ending, texts in endings.items()}
    return files


def read(files: Mapping[str, bytes], **keys: object) -> Listing:
    place = TarPlace("train-000000.tar", io.BytesIO(packed(files)))
    return list_images(Source(place), DataConfig(path="x", **keys))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("endings", "keys", "labels"),
    [
        ({"cls": ["0", "1"]}, {}, ["0", "1"]),
        ({"cls": ["cat", "dog\n"]}, {}, ["cat", "dog"]),
        ({"json": ['{"label": "cat", "w": 1}', '{"label": "dog", "w": 2}']}, {}, ["cat", "dog"]),
        ({"json": ['{"kind": "cat", "u": 1}', '{"kind": "dog", "u": 2}']}, {"label_column": "kind"}, ["cat", "dog"]),
        ({"txt": ["cat", "dog", "cat", "dog"]}, {}, ["cat", "dog", "cat", "dog"]),
        ({"txt": ["a cat", "a dog"], "cls": ["1", "0"]}, {}, ["1", "0"]),
    ],
)
def test_the_label_of_a_sample_is_found(
    endings: dict[str, list[str]], keys: dict[str, object], labels: list[str]
) -> None:
    listing = read(samples(**endings), **keys)
    assert labels_of(listing) == {f"{at:04d}": label for at, label in enumerate(labels)}
    assert listing.images[0].open().read() == PNG  # type: ignore[union-attr]


def test_shards_give_the_split_and_keys_that_recur_get_the_name_of_their_shard() -> None:
    contents = {
        "train-000000.tar": packed(samples(cls=["0", "1"])),
        "train-000001.tar": packed(samples(first=2, cls=["0", "1"])),
        "test-000000.tar": packed(samples(cls=["1"])),
    }
    listing = listed(contents)
    assert splits_of(listing) == {
        "train-000000/0000": "train",
        "0001": "train",
        "0002": "train",
        "0003": "train",
        "test-000000/0000": "test",
    }
    assert listing.split_from == "the shards' names"


def test_a_tar_archive_of_class_folders_is_no_webdataset() -> None:
    assert read({"cat/1.png": PNG, "cat/2.png": PNG, "dog/1.png": PNG, "dog/2.png": PNG}).layout == "class folders"


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (samples(cls=["0", ""]), "sample 0001 of train-000000.tar has no label"),
        (samples(cls=["0", "0"]), "holds one label, '0', at least 2"),
        (samples(json=["{", "{}"]), "0000.json in train-000000.tar cannot be read"),
        (
            samples(txt=["a grey cat", "two dogs", "a cow"]),
            "has no label of its samples, .*'txt' with data.label_column=",
        ),
        (samples(cls=["0", "1"]) | {"0002.jpg": PNG}, "sample 0002 of train-000000.tar has no label"),
    ],
)
def test_samples_without_a_label_are_refused(files: dict[str, bytes], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read(files)


def test_a_shard_that_is_cut_short_is_one_sentence() -> None:
    data = packed(samples(cls=["0", "1"]))
    with pytest.raises(DataError, match=r"train-0.tar cannot be read as a tar archive"):
        listed({"train-0.tar": data[:1540], "train-1.tar": data})
