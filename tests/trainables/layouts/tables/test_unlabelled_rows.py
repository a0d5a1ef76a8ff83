"""Tables of images to be predicted: every row counts, and those that cannot be read are told one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.trainables.datasets.test_new_images import read
from tests.trainables.datasets.test_new_sources import NAMES, PIXELS, WHOLE, png, write_files
from trainables.config.data import DataConfig
from trainables.datasets.new_images import find_new_images, locate_images
from trainables.errors import DataError


def test_a_row_that_cannot_be_read_is_bad_and_its_like_is_said(tmp_path: Path) -> None:
    write_files(tmp_path / "set")
    (tmp_path / "set" / "1" / "twin.png").write_bytes(png(0))
    (tmp_path / "set" / "0" / "twin.png").write_bytes(png(0))
    (tmp_path / "secret.png").write_bytes(png(0))
    rows = [
        "0/0.PNG",
        "0/0.png",
        "0/0.png",
        "twin",
        "../secret.png",
        str(tmp_path / "secret.png"),
        "none.png",
        '""',
        "3",
    ]
    (tmp_path / "set" / "table.csv").write_text("\n".join(["image", *rows]))
    found = locate_images(str(tmp_path / "set" / "table.csv"))
    names, pixels, bad = read(found.images, WHOLE)
    assert names == ["0/0.PNG", "0/0.png", "0/0.png", "3"]
    assert np.array_equal(pixels, PIXELS[[0, 0, 0, 3]])
    assert "means several files, 0/twin.png or 1/twin.png" in bad["twin"]
    assert "lies outside" in bad["../secret.png"]
    assert "lies outside" in bad[str(tmp_path / "secret.png")]
    assert bad["none.png"] == "No such file or directory"
    assert any("differ from the files in case" in note for note in found.notes)
    assert any("1 of 8 images are not in" in note for note in found.notes)


def test_the_keys_of_a_table_are_those_of_training(tmp_path: Path) -> None:
    write_files(tmp_path / "set")
    (tmp_path / "a.csv").write_text("\n".join(f"{'x' * position},y|{name[:-4]}" for position, name in enumerate(NAMES)))
    keys = {"root": str(tmp_path / "set"), "delimiter": "|", "header": False, "image_column": "1", "ending": ".png"}
    names, pixels, _ = read(find_new_images(str(tmp_path / "a.csv"), DataConfig(path="any", **keys)), WHOLE)  # type: ignore[arg-type]
    assert names == [name[:-4] for name in NAMES]
    assert np.array_equal(pixels, PIXELS)
    with pytest.raises(DataError, match=r"has no column 'file', only '0', '1': name one with data\.image_column="):
        find_new_images(str(tmp_path / "a.csv"), DataConfig(path="any", **keys | {"image_column": "file"}))  # type: ignore[arg-type]


def test_a_name_that_is_longer_than_any_is_no_file_and_takes_no_time(tmp_path: Path) -> None:
    write_files(tmp_path)
    (tmp_path / "table.csv").write_text("\n".join(["image", NAMES[0], "/" * 60_000, "a/" * 60_000]))
    names, _, bad = read(find_new_images(str(tmp_path / "table.csv")), WHOLE)
    assert (names, set(bad.values())) == ([NAMES[0]], {"No such file or directory"})
