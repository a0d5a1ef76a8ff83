"""Names in tables are found among the files although they lack an ending, zeros or folders, and what differs is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainables.layouts.memory_place import MemoryPlace, images
from trainables.errors import DataError
from trainables.layouts.tables.file_index import FileIndex
from trainables.layouts.tables.table_files import find_files
from trainables.places.folder import FolderPlace


def find(name: str, *files: str, ending: str | None = None, split: str = "") -> tuple[list[str], list[str]]:
    return find_files("t", FileIndex(MemoryPlace(images(*files)), ending), [name], ["line 2"], [split])


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("img/1.jpg", "img/1.jpg", ""),
        ("./img/1.jpg", "img/1.jpg", ""),
        ("/img/1.jpg", "img/1.jpg", ""),
        ("img/x/../1.jpg", "img/1.jpg", ""),
        ("memory/img/1.jpg", "img/1.jpg", ""),
        ("img\\1.jpg", "img/1.jpg", "backslashes"),
        ("C:\\data\\img\\1.jpg", "img/1.jpg", "folders that are not there"),
        ("/home/me/img/1.jpg", "img/1.jpg", "folders that are not there"),
        ("data/img/1.jpg", "img/1.jpg", "folders that are not there"),
        ("https://example.org/x/img/1.jpg?size=9", "img/1.jpg", "folders that are not there"),
        ("IMG/1.JPG", "img/1.jpg", "case"),
        ("img/1", "img/1.jpg", "lack their ending .jpg: data.ending=.jpg"),
        ("img/1.png", "img/1.jpg", "end otherwise"),
        ("my%20cat.jpg", "my cat.jpg", "as in an address"),
        ("7", "00007.jpg", "leading zeros"),
        ("7.png", "img/00007.jpg", "leading zeros"),
        ("cafe\u0301.jpg", "caf\u00e9.jpg", "form of letters"),
        ("1.jpg", "img/1.jpg", "folders below"),
        ("a.b", "a.b.jpg", "lack their ending"),
    ],
)
def test_a_name_is_the_file_that_a_person_means(name: str, file: str, said: str) -> None:
    files, notes = find(name, file, "other/3.jpg")
    assert files == [file]
    assert said in " ".join(notes)
    assert bool(said) == bool(notes)


def test_an_exact_file_comes_before_all_others() -> None:
    assert find("1.jpg", "1.jpg", "1.JPG", "img/1.jpg", "01.jpg") == (["1.jpg"], [])


def test_a_configured_ending_is_added_without_a_word() -> None:
    assert find("1", "1.jpg", "1.png", ending="png") == (["1.png"], [])


def test_of_two_files_the_one_in_the_folder_of_the_split_is_meant() -> None:
    assert find("1.jpg", "train/1.jpg", "test/1.jpg", split="test")[0] == ["test/1.jpg"]


@pytest.mark.parametrize(
    ("name", "files", "complaint"),
    [
        ("1", ["1.jpg", "1.png"], r"1 file names of t mean several files in memory: 1 \(line 2\) is 1.jpg or 1.png"),
        ("1.jpg", ["a/1.jpg", "b/1.jpg"], r"1.jpg \(line 2\) is a/1.jpg or b/1.jpg: .*data.root="),
        ("../1.jpg", ["1.jpg"], r"names files outside memory: ../1.jpg \(line 2\): .*data.root="),
        ("..\\1.jpg", ["1.jpg"], "names files outside"),
        ("%2e%2e/1.jpg", ["1.jpg"], "names files outside"),
        ("x/../../1.jpg", ["1.jpg"], "names files outside"),
        (
            "train/1.jpg",
            ["test/1.jpg"],
            r"1 of them are not in memory: train/1.jpg: add them, .*the nearest to train/1.jpg is test/1.jpg",
        ),
        ("photo1.jpg", ["photo2.jpg", "n.txt"], r"\(1 images lie there, the nearest to photo1.jpg is photo2.jpg\)"),
        ("1.jpg", ["n.txt"], "no image lies there"),
        ("1\n2.jpg", ["n.txt"], r"^t names 1 files, 1 of them are not in memory: '1\\n2.jpg': add"),
        ("C:\\1\\2", ["n.txt"], "are not in memory"),
    ],
)
def test_a_name_that_means_no_file_or_several_is_refused(name: str, files: list[str], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        find(name, *files)


def test_on_a_disk_exact_names_are_found_without_a_walk(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "img" / name).write_bytes(b"")
    place = FolderPlace(tmp_path)
    index = FileIndex(place)
    names = ["img/1.png", f"{tmp_path}/img/1.png"]
    assert find_files("t", index, names, ["", ""], ["", ""]) == (["img/1.png"] * 2, [])
    assert index.images_beside(["img/1.png"]) == {"img/1.png", "img/2.png"}
    assert "_walked" not in vars(place)
    assert index.find("2").files == ("img/2.png",)
    with pytest.raises(DataError, match=r"names files outside .*: /etc/passwd"):
        find_files("t", index, ["/etc/passwd"], ["line 2"], [""])
