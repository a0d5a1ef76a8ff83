"""Trees of class folders: what is an image, what is a class, and what is refused."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.config.data import DataConfig
from trainables.data.describe import describe_images
from trainables.data.images import ImageSet
from trainables.datasets.load import load_images, load_source
from trainables.errors import DataError


def load(path: Path | str, **keys: object) -> ImageSet:
    return load_source(DataConfig.model_validate({"path": str(path), **keys}))


def ids(path: Path | str) -> list[str]:
    return sorted(load(path).image_ids)


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
    images = load(tree)
    assert images.name == "pets"
    assert images.class_names == ("ant", "cat")
    found = zip(images.image_ids, images.labels.tolist(), images.pixels[:, 0, 0, 0].tolist(), strict=True)
    assert sorted(found) == [("ant/1.png", 0, 20), ("ant/2.png", 0, 30), ("cat/1.png", 1, 0), ("cat/old/2.png", 1, 10)]
    assert images.pixels.shape == (4, 4, 6, 1)


def test_a_moved_and_renamed_tree_has_the_same_fingerprint(tree: Path, tmp_path: Path) -> None:
    before = load(tree).data_id
    elsewhere = tmp_path / "deep" / "animals"
    for file in sorted(tree.rglob("*.png"), reverse=True):  # written in another order
        copy = elsewhere / file.relative_to(tree)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    assert load(elsewhere).data_id == before


def test_a_relative_path_gives_the_same_ids(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load(tree)
    monkeypatch.chdir(tree)
    assert ids(".") == sorted(before.image_ids)
    assert load(".").name == "pets"
    monkeypatch.chdir(tree / "cat")
    assert load("..").name == "pets"


def test_endings_count_in_any_case_and_everything_else_is_passed_over(tree: Path) -> None:
    save(tree / "cat" / "loud.png").rename(tree / "cat" / "loud.PNG")
    for ignored in ("cat/.hidden.png", "cat/.thumbnails/1.png", ".git/1.png", "loose.png"):
        save(tree / ignored)
    (tree / "cat" / "notes.txt").write_text("no image")
    assert ids(tree) == ["ant/1.png", "ant/2.png", "cat/1.png", "cat/loud.PNG", "cat/old/2.png"]
    assert describe_images(load(tree))[0].endswith("5 files passed over (.png 4, .txt 1)")


def test_links_to_folders_are_followed_but_not_in_circles(tree: Path, tmp_path: Path) -> None:
    save(tmp_path / "elsewhere" / "3.png")
    (tree / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (tree / "cat" / "old" / "again").symlink_to(tree / "cat")
    assert ids(tree)[2:] == ["cat/1.png", "cat/more/3.png", "cat/old/2.png"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.path .*nowhere does not exist: name a folder"):
        load(tmp_path / "nowhere")


def test_a_picture_is_no_set(tree: Path) -> None:
    with pytest.raises(DataError, match=r"1.png is in no layout that is read: name a folder of images, a table"):
        load(tree / "cat" / "1.png")


def test_one_class_is_not_enough(tree: Path) -> None:
    shutil.rmtree(tree / "ant")
    with pytest.raises(DataError, match=r"pets holds 1 class folder, cat/: at least 2 classes are needed"):
        load(tree)


def test_empty_class_folders_are_named(tree: Path) -> None:
    for name in ("bee", "cow", "dog", "eel"):
        (tree / name).mkdir()
    (tree / "bee" / "notes.txt").touch()
    with pytest.raises(DataError, match=r"4 of 6 class folders .* hold no image: bee/, cow/, dog/ and 1 more: add"):
        load(tree)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("train", "val", "test"), {"train": 4, "val": 4, "test": 4}),
        (("Training", "Testing"), {"Training": 4, "Testing": 4}),
        (("seg_train", "seg_test", "seg_pred"), {"seg_train": 4, "seg_test": 4}),
        (("01_train", "02_holdout", "documents"), {"01_train": 4, "02_holdout": 4}),
        (("images_train", "images_valid"), {"images_train": 4, "images_valid": 4}),
    ],
)
def test_folders_called_like_splits_give_the_split(
    tree: Path, tmp_path: Path, parts: tuple[str, ...], expected: dict[str, int]
) -> None:
    """Whatever they are called and whatever lies beside them; a part without class folders has no labels."""
    for at, part in enumerate(parts):
        for number, file in enumerate(sorted(tree.rglob("*.png"))):
            name = file.name if part in ("seg_pred", "documents") else file.relative_to(tree)
            save(tmp_path / "published" / part / name, 40 + 10 * at + number)
    images = load(tmp_path / "published")
    counts: dict[str, int] = {}
    for name in images.image_ids:
        counts[name.split("/")[0]] = counts.get(name.split("/")[0], 0) + 1
    assert counts == expected
    assert images.class_names == ("ant", "cat")
    assert images.reading.split_from == "folders"
    split_of = {name.split("/")[0]: int(split) for name, split in zip(images.image_ids, images.splits, strict=True)}
    wanted = {"val": 1, "valid": 1, "test": 2, "holdout": 2}
    assert all(
        split == next((number for word, number in wanted.items() if part.casefold().split("_")[-1].startswith(word)), 0)
        for part, split in split_of.items()
    )


def test_a_split_within_each_class_is_a_split(tree: Path, tmp_path: Path) -> None:
    for at, name in enumerate(
        f"{kind}/{part}/{n}.png" for kind in ("a", "b") for part in ("train", "test") for n in "123"
    ):
        save(tmp_path / "turned" / name, 10 + at)
    images = load(tmp_path / "turned")
    assert images.class_names == ("a", "b")
    assert np.bincount(images.splits).tolist() == [6, 0, 6]


def test_class_folders_that_are_called_train_and_bus_are_classes(tmp_path: Path) -> None:
    for at, name in enumerate(f"{kind}/{number}.png" for kind in ("train", "bus", "tram") for number in range(3)):
        save(tmp_path / "vehicles" / name, 10 + at)
    images = load(tmp_path / "vehicles")
    assert images.class_names == ("bus", "train", "tram")
    assert "the class folder train/ has the name of a split" in images.reading.notes[0]


def test_a_folder_too_high_is_passed_through_and_said(tree: Path, tmp_path: Path) -> None:
    images = load(tmp_path)
    assert sorted(images.image_ids) == ["ant/1.png", "ant/2.png", "cat/1.png", "cat/old/2.png"]
    assert images.reading.notes == (f"the class folders lie one folder deeper, in {tree}",)


def test_classes_that_differ_by_case_alone_are_said_and_joined_by_rename(tree: Path) -> None:
    save(tree / "Cat" / "7.png", 77)
    assert "the classes 'Cat' and 'cat' differ by case, spaces or dashes alone" in load(tree).reading.notes[0]
    joined = load(tree, rename={"Cat": "cat"})
    assert joined.class_names == ("ant", "cat")
    assert len(joined.labels) == 5


def test_a_class_that_is_in_the_test_folder_alone_is_refused(tree: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        shutil.copytree(tree, tmp_path / "published" / part)
    save(tmp_path / "published" / "test" / "bee" / "1.png")
    with pytest.raises(DataError, match=r"1 class\(es\) of published have no image to train on, .*: bee: add"):
        load(tmp_path / "published")
    assert load(tmp_path / "published", classes=["ant", "cat"]).class_names == ("ant", "cat")
    assert load(tmp_path / "published", rename={"bee": "ant"}).class_names == ("ant", "cat")
    assert load(tmp_path / "published", keep_split=False).class_names == ("ant", "bee", "cat")


def test_the_folders_of_a_patient_are_never_torn_apart(tmp_path: Path) -> None:
    for at in range(120):
        save(tmp_path / "scans" / ("ill", "well")[at % 2] / f"p{at // 6:02d}_{at}.png", at)
    images = load_images(DataConfig(path=str(tmp_path / "scans"), group=r"(p\d+)_"))
    split_of: dict[str, set[int]] = {}
    assert images.groups is not None
    for group, split in zip(images.groups, images.splits.tolist(), strict=True):
        split_of.setdefault(group, set()).add(split)
    assert len(split_of) == 20
    assert all(len(splits) == 1 for splits in split_of.values())
    assert "split dealt by whole groups" in describe_images(images)[0]


def test_a_file_that_is_no_image_is_named(tree: Path) -> None:
    (tree / "cat" / "9.png").write_text("no image")
    with pytest.raises(DataError, match=r"1 of 5 images cannot be decoded: cat/9.png \(none of PNG"):
        load(tree)


def test_a_file_name_that_is_no_text_is_named(tree: Path) -> None:
    try:
        os.rename(tree / "cat" / "1.png", os.fsencode(tree / "cat") + b"/caf\xe9.png")  # noqa: PTH104
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    with pytest.raises(DataError, match=r"1 file names .* are not UTF-8: 'cat/caf\\udce9.png': rename them"):
        load(tree)


def fill(folder: Path, *names: str) -> Path:
    """Image files under these names, no two of them equal."""
    for at, name in enumerate(names):
        save(folder / name, 10 + at)
    return folder


def of_parts(*parts: str, kinds: tuple[str, ...] = ("ant", "cat"), inner: str = "") -> list[str]:
    return [f"{part}/{inner}{kind}/{number}.png" for part in parts for kind in kinds for number in range(3)]


def splits_of(images: ImageSet) -> dict[str, int]:
    return {name.split("/")[0]: split for name, split in zip(images.image_ids, images.splits.tolist(), strict=True)}


@pytest.mark.parametrize(
    ("parts", "splits"),
    [
        (("chest_train", "chest_val", "chest_test"), [0, 1, 2]),
        (("train_resized", "test_resized"), [0, 2]),
        (("CatsTrain", "CatsTest"), [0, 2]),
        (("Training", "PublicTest", "PrivateTest"), [0, 1, 2]),
        (("Entrenamiento", "Validación", "Prueba"), [0, 1, 2]),
    ],
)
def test_words_that_all_split_folders_share_say_nothing(
    tmp_path: Path, parts: tuple[str, ...], splits: list[int]
) -> None:
    images = load(fill(tmp_path, *of_parts(*parts)))
    assert splits_of(images) == dict(zip(parts, splits, strict=True))
    assert images.class_names == ("ant", "cat")


def test_split_folders_may_hold_their_class_folders_one_level_down(tmp_path: Path) -> None:
    images = load(fill(tmp_path, *of_parts("train", "val", inner="images/")))
    assert splits_of(images) == {"train": 0, "val": 1}
    assert images.class_names == ("ant", "cat")


@pytest.mark.parametrize("inner", ["unknown", "test", "images", "0"])
def test_a_test_folder_with_one_folder_that_is_no_class_has_no_labels(tmp_path: Path, inner: str) -> None:
    images = load(fill(tmp_path, *of_parts("train"), f"test/{inner}/1.png", f"test/{inner}/2.png"))
    assert images.reading.unlabelled == 2
    assert "2 images in test/ have no label" in images.reading.notes[0]


def test_empty_folders_in_split_folders_are_told(tmp_path: Path) -> None:
    fill(tmp_path, *of_parts("train"), "test/ant/1.png")
    (tmp_path / "test" / "cat").mkdir()
    assert load(tmp_path).reading.notes == ("test/cat/ holds no image",)
    (tmp_path / "train" / "dog").mkdir()
    with pytest.raises(DataError, match=r"1 of 3 class folders .* hold no image: train/dog/: add"):
        load(tmp_path)
    assert load(tmp_path, classes=["ant", "cat"]).class_names == ("ant", "cat")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("A", "B"), r"A/, B/ hold folders of the same names \(ant/, cat/\): .*data.label_regex="),
        (("fold1", "fold2", "fold3"), r"fold1/, fold2/, fold3/ hold folders of the same names"),
        (("train", "query"), r"query/, train/ hold folders of the same names"),
    ],
)
def test_folders_of_the_same_classes_are_told(tmp_path: Path, parts: tuple[str, ...], said: str) -> None:
    images = load(fill(tmp_path, *of_parts(*parts)))
    assert len(images.reading.notes) == 1
    assert re.search(said, images.reading.notes[0])
    below = load(tmp_path, label_regex="^[^/]+/([^/]+)/")
    assert below.class_names == ("ant", "cat")


def test_folders_of_subclasses_are_told(tmp_path: Path) -> None:
    fill(tmp_path, "pets/cat/1.png", "pets/dog/1.png", "wild/fox/1.png", "wild/owl/1.png")
    assert load(tmp_path).class_names == ("pets", "wild")
    assert "pets/, wild/ hold folders (pets/cat/)" in load(tmp_path).reading.notes[0]


@pytest.mark.parametrize("beside", ["annotations/1.xml", "docs/readme.txt", "labels/1.txt"])
def test_folders_of_other_files_beside_the_images_are_told(tmp_path: Path, beside: str) -> None:
    fill(tmp_path, *of_parts("images"))
    (tmp_path / beside).parent.mkdir()
    (tmp_path / beside).write_text("0 0.5 0.5 0.2 0.2")
    images = load(tmp_path)
    assert images.class_names == ("ant", "cat")
    assert f"in {tmp_path}/images; {beside.split('/')[0]}/ beside that holds no image" in images.reading.notes[0]
    (tmp_path / "lost").mkdir()
    with pytest.raises(DataError, match=r"2 of 3 class folders .* hold no image"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["train.zip", "test.zip"], "2 archives, test.zip, train.zip: name one with data.path=, or unpack"),
        (["all.zip"], "but 1 archive, all.zip: name it with data.path="),
        (["a.tfrecord", "b.tfrecord"], r"\(2 with .tfrecord\): put the images"),
        ([], "holds no images in class folders: put the images"),
    ],
)
def test_a_folder_without_images_is_refused_with_what_it_holds(tmp_path: Path, files: list[str], said: str) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"x" * 600)
    with pytest.raises(DataError, match=said):
        load(tmp_path)


def test_split_folders_without_class_folders_are_refused_with_a_way_out(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat.1.png", "train/dog.1.png", "test/cat.2.png")
    with pytest.raises(
        DataError, match=r"called test, train, as splits are, .*data.label_regex= \(the first is 'test/cat"
    ):
        load(tmp_path)
    assert splits_of(load(tmp_path, label_regex=r"/(\w+)\.")) == {"train": 0, "test": 2}
