"""Tables of file names and labels: columns, lines and files that are not as they should be."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.csv_table import load_csv_table
from trainables.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`1.png` to `4.png` in a folder `scans`."""
    (tmp_path / "scans").mkdir()
    for at in range(1, 5):
        Image.fromarray(np.full((4, 6), at, np.uint8)).save(tmp_path / "scans" / f"{at}.png")
    return tmp_path / "scans"


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_each_line_is_an_image_and_labels_are_strings(folder: Path) -> None:
    images = load_csv_table(table(folder, "image,label\n3.png,10\n1.png,07\n2.png,10\n"))
    assert images.name == "labels"
    assert images.class_names == ("07", "10")
    assert images.image_ids == ("1.png", "2.png", "3.png")
    assert images.labels.tolist() == [0, 1, 1]
    assert images.pixels[:, 0, 0, 0].tolist() == [1, 2, 3]


def test_the_order_of_lines_and_the_place_of_the_table_do_not_count(folder: Path, tmp_path: Path) -> None:
    here = load_csv_table(table(folder, "image,label\n1.png,a\n2.png,b\n"))
    there = load_csv_table(table(tmp_path, "image,label\n./2.png,b\n1.png,a\n"), root=folder)
    assert here.data_id == there.data_id


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffimage,label\r\n1.png,a\r\n2.png,b\r\n",
        "image;label\n1.png;a\n2.png;b\n",
        "image\tlabel\n1.png\ta\n2.png\tb\n",
        '"image","note","label"\n"1.png","x, y","a"\n\n"2.png","two\nlines","b"',
        " image , label\n1.png, a\n2.png , b \n",
    ],
    ids=["byte-order mark", "semicolons", "tabs", "quotes", "spaces"],
)
def test_whatever_spreadsheets_write_is_read(folder: Path, text: str) -> None:
    images = load_csv_table(table(folder, text))
    assert (images.image_ids, images.class_names) == (("1.png", "2.png"), ("a", "b"))


def test_columns_can_be_named(folder: Path) -> None:
    path = table(folder, "file,kind,image\n1.png,a,-\n2.png,b,-\n")
    assert load_csv_table(path, image_column="file", label_column="kind").image_ids == ("1.png", "2.png")


def test_an_absolute_path_inside_root_is_the_same_file(folder: Path) -> None:
    images = load_csv_table(table(folder, f"image,label\n{folder}/1.png,a\n2.png,b\n"))
    assert images.image_ids == ("1.png", "2.png")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no column 'image', only an empty header"),
        (
            "images,label\n1.png,a\n",
            r"no column 'image', only 'images', 'label': name one with data.image_column=; did you mean 'images'\?",
        ),
        ("image,Label\n1.png,a\n", r"no column 'label', only 'image', 'Label': .*data.label_column=; .* 'Label'\?"),
        ("image,label,label\n1.png,a,b\n", "2 columns called 'label': rename"),
        ("image,label\n1.png,a\n2.png\n", "line 3 of .* has no label: fill it in"),
        ("image,label\n1.png,a\n ,b\n", "line 3 of .* has no image: fill it in"),
        ("image,label\n1.png,a\n2.png,b\n./1.png,b\n", r"names files twice: 1.png \(lines 2 and 4\): keep one"),
        ("image,label\n1.png,a\n../2.png,b\n", r"names files outside .*: ../2.png \(line 3\): .*data.root="),
        ("image,label\n1.png,a\n/etc/passwd,b\n", r"names files outside .*: /etc/passwd \(line 3\)"),
        ("image,label\n1.png,a\nx/../../2.png,b\n", "names files outside"),
        (
            "image,label\n1.png,a\n" + "".join(f"{at}.png,b\n" for at in range(5, 10)),
            "names 6 files, 5 of them are not in .*: 5.png, 6.png, 7.png and 2 more: .*data.root=",
        ),
        ("image,label\n1.png,a\n2.png,a\n", "holds one label, 'a', in column 'label', at least 2"),
        ("image,label\n", "holds no label in column 'label'"),
        ('image,label\n"1.png"x,a\n', "is no CSV in UTF-8"),
    ],
)
def test_a_table_that_is_not_as_it_should_be_is_refused(folder: Path, text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        load_csv_table(table(folder, text))


def test_a_table_in_another_encoding_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="is no CSV in UTF-8"):
        load_csv_table(table(folder, "image,label\n1.png,käfer\n2.png,b\n", encoding="utf-16"))


def test_a_missing_table_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.csv cannot be read: No such file"):
        load_csv_table(folder / "nowhere.csv")


def test_a_file_that_is_no_image_is_named(folder: Path) -> None:
    (folder / "note.txt").write_text("no image")
    with pytest.raises(DataError, match=r"1 of 2 files .*: note.txt \(none of PNG"):
        load_csv_table(table(folder, "image,label\n1.png,a\nnote.txt,b\n"))
