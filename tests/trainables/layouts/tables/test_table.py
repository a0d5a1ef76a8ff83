"""Tables of file names and labels become listings, or one sentence that says what to change."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.trainables.layouts.memory_place import PNG, images, labels_of, listed, splits_of
from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.tables.table import read_table
from trainables.places.folder import FolderPlace
from trainables.places.open import Source

FOUR = images("1.png", "2.png", "3.png", "4.png")


def read(text: str, **keys: object):
    return listed({**FOUR, "labels.csv": text}, "labels.csv", **keys)


def test_a_table_names_its_images_and_their_labels() -> None:
    listing = read("image,label,patient\n1.png,a,p1\n2.png,b,p2\n3.png,a,p1\n4.png,b,p2\n")
    assert labels_of(listing) == {"1.png": "a", "2.png": "b", "3.png": "a", "4.png": "b"}
    assert (listing.name, listing.layout, listing.split_from) == ("labels", "a table (labels.csv)", "")
    assert listing.columns == ("image", "label", "patient")
    assert [image.cells for image in listing.images][:2] == [{"patient": "p1"}, {"patient": "p2"}]
    assert listing.images[0].open().read() == PNG  # type: ignore[union-attr]
    assert listing.notes == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("t.txt", "1.png a\n2.png b\n"),
        ("t.jsonl", '{"file_name": "1.png", "label": "a"}\n{"file_name": "2.png", "label": "b"}\n'),
        ("t.json", '{"1.png": "a", "2.png": "b"}'),
        ("t.tsv", "id\tbreed\n1\ta\n2\tb\n"),
        ("t.csv", "file,a,b\n1.png,1,0\n2.png,0,1\n"),
    ],
)
def test_every_form_of_a_table_gives_the_same_images(file: str, text: str) -> None:
    assert labels_of(listed({**FOUR, file: text}, file)) == {"1.png": "a", "2.png": "b"}


def test_a_split_column_gives_the_split_and_a_test_row_needs_no_label() -> None:
    listing = read("image,label,split\n1.png,a,train\n2.png,b,train\n3.png,a,val\n4.png,,test\n")
    assert splits_of(listing) == {"1.png": "train", "2.png": "train", "3.png": "validation", "4.png": ""}
    assert labels_of(listing)["4.png"] is None
    assert listing.split_from == "column split"


def test_words_for_nothing_are_unlabelled_and_said() -> None:
    listing = read("image,label\n1.png,a\n2.png,b\n3.png,NaN\n4.png,\n".replace("4.png,\n", "4.png,a\n"))
    assert labels_of(listing)["3.png"] is None
    assert "1 row has NaN as label" in listing.notes[0]
    renamed = read("image,label\n1.png,a\n2.png,b\n3.png,NaN\n", rename={"NaN": "none of these"})
    assert labels_of(renamed)["3.png"] == "NaN"


def test_what_was_found_by_itself_is_said() -> None:
    listing = listed({**images("img/1.png", "img/2.png", "img/3.png"), "t.csv": "id,breed\n1,a\n2,b\n"}, "t.csv")
    said = " | ".join(listing.notes)
    assert labels_of(listing) == {"img/1.png": "a", "img/2.png": "b"}
    for words in (
        "data.image_column=id",
        "data.label_column=breed",
        "data.ending=.png",
        "1 image is in no row of memory/t.csv",
    ):
        assert words in said


def test_a_table_without_header_says_its_columns() -> None:
    assert "column 0 has the file names, column 1 the labels" in " ".join(read("1.png,a\n2.png,b\n").notes)


def test_a_file_in_several_rows_with_one_label_is_taken_once_and_said() -> None:
    listing = read("image,label\n1.png,a\n2.png,b\n./1.png,a\n3.png,b\n4.png,b\n")
    assert len(listing.images) == 4
    assert "1 files are in several rows with the same label (1.png)" in " ".join(listing.notes)


def test_root_is_another_place(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "img" / name).write_bytes(PNG)
    (tmp_path / "t.csv").write_text("image,label\n1,a\n2,b\n")
    config = DataConfig(path="x", root=str(tmp_path / "img"))
    listing = read_table(Source(FolderPlace(tmp_path), "t.csv"), config)
    assert labels_of(listing) == {"1.png": "a", "2.png": "b"}
    with pytest.raises(DataError, match=r"data.root .*t.csv is a file: name the folder"):
        read_table(Source(FolderPlace(tmp_path), "t.csv"), DataConfig(path="x", root=str(tmp_path / "t.csv")))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no column 'image', only an empty header"),
        ("images,kind\n", "holds no label in column 'label', at least 2|no column 'label', only 'images', 'kind'"),
        ("image,label\n1.png,a\n2.png\n", "line 3 of .* has no label: fill it in"),
        ("image,label\n1.png,a\n ,b\n", "line 3 of .* has no image: fill it in"),
        ("image,label\n1.png,a\n2.png,b\n./1.png,b\n", r"names files twice: 1.png \(lines 2 and 4\): keep one"),
        ("image,label,split\n1.png,a,train\n2.png,b,test\n1.png,a,test\n", r"files twice: 1.png \(lines 2 and 4\)"),
        ("image,label\n1.png,a\n../2.png,b\n", r"names files outside .*: ../2.png \(line 3\): .*data.root="),
        (
            "image,label\n1.png,a\n" + "".join(f"{at}.png,b\n" for at in range(5, 10)),
            "names 6 files, 5 of them are not in .*: 5.png, 6.png, 7.png and 2 more: .*data.root=",
        ),
        ("image,label\n1.png,a\n2.png,a\n", "holds one label, 'a', in column 'label', at least 2"),
        ("image,label\n1.png,a|b\n2.png,a\n3.png,b\n", r"1 of 3 labels .* several at once \('a\|b' in line 2"),
        ("image\n1.png\n2.png\n", "no column 'label', only 'image': name one with data.label_column="),
    ],
)
def test_a_table_that_is_not_as_it_should_be_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read(text)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_tables_give_images_or_one_sentence(seed: int) -> None:
    dice = random.Random(seed)
    whole = {
        "t.csv": b"image,label,split\n1.png,a,train\n2.png,b,train\n3.png,a,test\n4.png,b,test\n",
        "t.jsonl": b'{"image": "1.png", "label": "a"}\n{"image": "2.png", "label": "b"}\n',
        "t.txt": b"1.png a\n2.png b\n",
        "t.json": b'[{"image": "1.png", "label": "a"}, {"image": "2.png", "label": "b"}]',
    }
    pieces = [b'"', b"\x00", b"\xff", b"[", b"../", b"\\", b"%00", b"\r", b"\xff\xfe", b'"\\ud800"', b"//", b"|"]
    for _ in range(150):
        file = dice.choice(list(whole))
        data = bytearray(whole[file])
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(len(data) + 1)
            data[at : at + dice.randrange(4)] = dice.choice(pieces)
        if dice.random() < 0.3:
            del data[dice.randrange(len(data)) :]
        try:
            listing = listed({**FOUR, file: bytes(data)}, file)
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert all(image.image_id in FOUR for image in listing.images)
