"""Trees of class folders: what is an image, what is a class, and what is refused."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.folder_tree import load_folder_tree
from trainables.errors import DataError


def save(path: Path, grey: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6), grey, np.uint8)).save(path)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes of two images."""
    for at, name in enumerate(("cat/1.png", "cat/old/2.png", "ant/1.png", "ant/2.png")):
        save(tmp_path / "pets" / name, 10 * at)
    return tmp_path / "pets"


def test_folders_are_classes_and_paths_are_ids(tree: Path) -> None:
    images = load_folder_tree(tree)
    assert images.name == "pets"
    assert images.class_names == ("ant", "cat")
    assert images.image_ids == ("ant/1.png", "ant/2.png", "cat/1.png", "cat/old/2.png")
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.pixels[:, 0, 0, 0].tolist() == [20, 30, 0, 10]
    assert images.pixels.shape == (4, 4, 6, 1)


def test_a_moved_and_renamed_tree_has_the_same_fingerprint(tree: Path, tmp_path: Path) -> None:
    before = load_folder_tree(tree).data_id
    elsewhere = tmp_path / "deep" / "animals"
    for file in sorted(tree.rglob("*.png"), reverse=True):  # written in another order
        copy = elsewhere / file.relative_to(tree)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    assert load_folder_tree(elsewhere).data_id == before


def test_a_relative_path_gives_the_same_ids(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_folder_tree(tree)
    monkeypatch.chdir(tree)
    assert load_folder_tree(Path()).data_id == before.data_id
    assert load_folder_tree(Path()).name == "pets"


def test_endings_count_in_any_case_and_everything_else_is_passed_over(tree: Path) -> None:
    save(tree / "cat" / "loud.png").rename(tree / "cat" / "loud.PNG")
    for ignored in ("cat/.hidden.png", "cat/.thumbnails/1.png", ".git/1.png", "loose.png"):
        save(tree / ignored)
    (tree / "cat" / "notes.txt").write_text("no image")
    images = load_folder_tree(tree)
    assert images.image_ids == ("ant/1.png", "ant/2.png", "cat/1.png", "cat/loud.PNG", "cat/old/2.png")


def test_links_to_folders_are_followed_but_not_in_circles(tree: Path, tmp_path: Path) -> None:
    save(tmp_path / "elsewhere" / "3.png")
    (tree / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (tree / "cat" / "old" / "again").symlink_to(tree / "cat")
    assert load_folder_tree(tree).image_ids[2:] == ("cat/1.png", "cat/more/3.png", "cat/old/2.png")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.path .*nowhere does not exist: name a folder"):
        load_folder_tree(tmp_path / "nowhere")


def test_a_file_is_no_tree(tree: Path) -> None:
    with pytest.raises(DataError, match=r"1.png is a file, not a folder"):
        load_folder_tree(tree / "cat" / "1.png")


def test_one_class_is_not_enough(tree: Path) -> None:
    shutil.rmtree(tree / "ant")
    with pytest.raises(DataError, match=r"pets holds 1 class folder\(s\), at least 2 are needed"):
        load_folder_tree(tree)


def test_empty_class_folders_are_named(tree: Path) -> None:
    for name in ("bee", "cow", "dog", "eel"):
        (tree / name).mkdir()
    (tree / "bee" / "notes.txt").touch()
    with pytest.raises(DataError, match=r"4 of 6 class folders .* hold no image: bee/, cow/, dog/ and 1 more: add"):
        load_folder_tree(tree)


def test_folders_called_like_splits_are_no_classes(tree: Path, tmp_path: Path) -> None:
    for split in ("train", "Test"):
        shutil.copytree(tree, tmp_path / "published" / split)
    with pytest.raises(DataError, match=r"as splits are, not classes: .*data.path=.*published/train"):
        load_folder_tree(tmp_path / "published")


def test_a_file_that_is_no_image_is_named(tree: Path) -> None:
    (tree / "cat" / "9.png").write_text("no image")
    with pytest.raises(DataError, match=r"1 of 5 files cannot be read as images: cat/9.png \(none of PNG"):
        load_folder_tree(tree)


def test_a_file_name_that_is_no_text_is_named(tree: Path) -> None:
    try:
        os.rename(tree / "cat" / "1.png", os.fsencode(tree / "cat") + b"/caf\xe9.png")  # noqa: PTH104
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    with pytest.raises(DataError, match=r"1 file names .* are not UTF-8: 'cat/caf\\udce9.png': rename them"):
        load_folder_tree(tree)
