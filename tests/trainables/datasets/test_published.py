"""Sets that are known by their names: found where torchvision puts them, fetched where they are not, then read as by their path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainables.layouts.written import LAYOUTS
from trainables.config.data import DataConfig
from trainables.datasets import published
from trainables.datasets.load import load_images
from trainables.datasets.published import Published
from trainables.errors import DataError
from trainables.plugins.kinds import DATA

SETS = {found.name: found for found in vars(published).values() if isinstance(found, Published)}
WRITTEN = {
    "cifar10": "CIFAR-10",
    "mnist": "IDX with splits, packed",
    "svhn": "SVHN",
    "stl10": "STL-10",
    "flowers102": "Flowers-102",
    "food101": "Food-101",
    "oxford-iiit-pet": "Oxford-IIIT Pet",
    "eurosat": "class folders",
}
"""A layout of each set, as the contract suite of the layouts writes it."""


def write(name: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    LAYOUTS[WRITTEN[name]].write(folder, LAYOUTS[WRITTEN[name]].pictures)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_set_that_was_downloaded_is_read_as_by_its_path(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "data" / SETS[name].folder
    write(name, folder)
    expected = load_images(DataConfig(path=str(folder)))
    for root in (tmp_path / "data", folder):
        images = load_images(DataConfig(name=name, root=str(root)))
        assert (images.name, images.data_id) == (name, expected.data_id)
        assert images.reading.split_from == expected.reading.split_from


def test_a_set_that_is_not_there_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fetched = []

    def fetch(root: str) -> None:
        fetched.append(root)
        write("cifar10", Path(root) / "cifar-10-batches-bin")

    monkeypatch.setattr(published, "CIFAR10", replace(published.CIFAR10, fetch=fetch))
    first, again = (load_images(DataConfig(name="cifar10")) for _ in range(2))
    assert first.data_id == again.data_id
    assert fetched == ["data"]


def test_a_set_takes_the_keys_of_its_files(tmp_path: Path) -> None:
    write("oxford-iiit-pet", tmp_path / "oxford-iiit-pet")
    config = DataConfig(name="oxford-iiit-pet", root=str(tmp_path), size=[6, 9], fit="crop", keep_split=False)
    assert load_images(config).pixels.shape[1:3] == (6, 9)


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("File not found or corrupted.")])
def test_a_download_that_fails_is_one_sentence(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(root: str) -> None:
        raise error

    monkeypatch.setattr(published, "SVHN", replace(published.SVHN, fetch=fetch))
    with pytest.raises(DataError, match=f"svhn is not in .*svhn, and could not be downloaded to .*{error}.*data.root="):
        load_images(DataConfig(name="svhn", root=str(tmp_path / "new")))


def test_torchvision_is_asked_for_each_part_of_a_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    asked = []
    for name in ("SVHN", "QMNIST", "Food101"):
        monkeypatch.setattr(datasets, name, lambda root, name=name, **keys: asked.append((name, root, keys)))
    for found in (published.SVHN, published.QMNIST, published.FOOD101):
        found.fetch(str(tmp_path))
    assert asked == [
        ("SVHN", str(tmp_path / "svhn"), {"split": "train", "download": True}),
        ("SVHN", str(tmp_path / "svhn"), {"split": "test", "download": True}),
        ("QMNIST", str(tmp_path), {"what": "train", "download": True}),
        ("QMNIST", str(tmp_path), {"what": "test", "download": True}),
        ("Food101", str(tmp_path), {"download": True}),
    ]


def test_every_set_has_its_name_in_the_registry() -> None:
    assert {name: DATA.find(name) for name in SETS} == SETS
