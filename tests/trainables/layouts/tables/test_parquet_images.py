"""Parquet and Arrow files with images in them are read as model hubs serve them; damage is one sentence."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sample_runs.damage import flip
from tests.trainables.layouts.memory_place import PNG, images, labels_of, listed, splits_of
from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.tables.parquet_images import read_parquet_images
from trainables.places.open import open_source

TOLD = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}}}


def shard(
    count: int = 4,
    form: str = "parquet",
    told: object = TOLD,
    contents: list[object] | None = None,
    labels: list[object] | None = None,
    **columns: list[object],
) -> bytes:
    cells = contents or [{"bytes": PNG + bytes([at]), "path": f"{at}.png"} for at in range(count)]
    table = pa.table({"image": cells, "label": labels or [at % 2 for at in range(count)], **columns})
    table = table.replace_schema_metadata({"huggingface": json.dumps(told)} if told else None)
    sink = io.BytesIO()
    if form == "parquet":
        pq.write_table(table, sink)
    else:
        with (pa.ipc.new_file if form == "feather" else pa.ipc.new_stream)(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize("form", ["parquet", "feather", "arrow"])
def test_images_and_class_names_come_from_one_file(form: str) -> None:
    listing = listed({f"x.{form}": shard(form=form, who=["p", "q", "p", None])}, f"x.{form}")
    assert labels_of(listing) == {"0.png": "cat", "1.png": "dog", "2.png": "cat", "3.png": "dog"}
    assert listing.class_names == ["cat", "dog"]
    assert listing.images[3].open().read() == PNG + b"\x03"  # type: ignore[union-attr]
    assert listing.images[0].cells == {"who": "p"}


def test_shards_give_the_split_by_their_names_and_ids_are_unique() -> None:
    contents = {
        "data/train-00000-of-00001.parquet": shard(),
        "data/test-00000-of-00001.parquet": shard(2),
        "README.md": b"",
    }
    listing = listed(contents)
    assert sorted(splits_of(listing).values()) == ["test"] * 2 + ["train"] * 4
    assert len({image.image_id for image in listing.images}) == 6
    assert listing.split_from == "the shards' names"


def test_bytes_alone_and_a_number_without_names_do_too() -> None:
    data = shard(told=None, contents=[PNG + bytes([at]) for at in range(4)])
    listing = listed({"x.parquet": data}, "x.parquet")
    assert labels_of(listing) == {"x/00000": "0", "x/00001": "1", "x/00002": "0", "x/00003": "1"}


def test_a_path_without_bytes_is_a_file_beside_the_shard() -> None:
    cells: list[object] = [{"bytes": None, "path": f"{at}.png"} for at in range(2)]
    data = pa.table(
        {"image": pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())])), "label": ["a", "b"]}
    )
    sink = io.BytesIO()
    pq.write_table(data, sink)
    listing = listed({**images("0.png", "1.png"), "x.parquet": sink.getvalue()}, "x.parquet")
    assert listing.images[1].open().read() == PNG  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"row 1 of memory/x.parquet has no bytes, and its path 0.png is no file"):
        listed({"x.parquet": sink.getvalue()}, "x.parquet")


def test_a_parquet_table_of_file_names_is_a_table() -> None:
    sink = io.BytesIO()
    pq.write_table(
        pa.table({"file": ["1.png", "2.png", "3.png"], "label": ["a", "b", "a"], "is_valid": [True, False, False]}),
        sink,
    )
    listing = listed({**images("1.png", "2.png", "3.png"), "x.parquet": sink.getvalue()}, "x.parquet")
    assert splits_of(listing) == {"1.png": "validation", "2.png": "train", "3.png": "train"}
    assert listing.layout == "a table (x.parquet)"


def test_minus_one_and_nothing_are_no_labels() -> None:
    listing = listed({"x.parquet": shard(labels=[0, -1, None, 1])}, "x.parquet")
    assert list(labels_of(listing).values()) == ["cat", None, None, "dog"]


@pytest.mark.parametrize(
    ("data", "keys", "complaint"),
    [
        (
            shard(labels=[0, 1, 2, 0]),
            {},
            "row 3 of memory/x.parquet has 2 in column label, and there are 2 class names",
        ),
        (shard(labels=[0, 0, 0, 0]), {}, "holds one label, 'cat', at least 2"),
        (shard(contents=[None, PNG, PNG, PNG]), {}, "row 1 of memory/x.parquet has neither bytes nor a path"),
        (
            shard(mask=[PNG] * 4, contents=[PNG] * 4),
            {},
            "2 columns of images, image, mask: name one with data.image_column=",
        ),
        (shard(), {"image_column": "img"}, "no column 'img', only 'image', 'label'"),
        (shard(), {"label_column": "kind"}, "no column 'kind', only 'label'"),
        (
            shard(labels=[[0], [0, 1], [1], [0]]),
            {},
            r"1 of 4 labels in column 'label' .* several at once \('\[0, 1\]' in row 2",
        ),
        (b"PAR1", {}, "cannot be read as Parquet or Arrow .*: write it again"),
        (b"", {}, "cannot be read as Parquet or Arrow"),
        (b"image,label\n1.png,a\n", {}, "cannot be read as Parquet or Arrow"),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(data: bytes, keys: dict[str, object], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        listed({"x.parquet": data}, "x.parquet", **keys)


@pytest.mark.parametrize(("form", "bit"), [("parquet", 3100), ("feather", 900), ("arrow", 640), ("arrow", 40)])
def test_a_flipped_bit_gives_images_or_one_sentence(form: str, bit: int) -> None:
    try:
        listed({f"x.{form}": flip(shard(form=form), bit)}, f"x.{form}")
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_shards_of_which_one_says_no_split_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"names of 1 of 2 shards in memory say no split and those of others do \(more.parquet\)"
    ):
        listed({"train.parquet": shard(), "more.parquet": shard()})


def test_images_whose_paths_are_all_empty_are_read(tmp_path: Path) -> None:
    cells = [{"bytes": PNG, "path": None} for _ in range(4)]
    pq.write_table(pa.table({"image": pa.array(cells), "label": list("abab")}), tmp_path / "set.parquet")
    source = open_source(str(tmp_path / "set.parquet"))
    assert [image.label for image in read_parquet_images(source, DataConfig(path="x")).images] == list("abab")
