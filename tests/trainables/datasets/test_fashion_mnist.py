"""Fashion-MNIST from its four files, wherever they lie; small files of the same form stand in for the real ones."""

import gzip
import re
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from trainables.datasets import fashion_mnist
from trainables.datasets.fashion_mnist import CLASS_NAMES, DEBIAN, load_fashion_mnist, read_idx
from trainables.errors import DataError

FILES = tuple(f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1"))


def idx(values: np.ndarray) -> bytes:
    sizes = b"".join(length.to_bytes(4, "big") for length in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def write_files(folder: Path, zipped: bool = True) -> Path:
    """Four training images and two of the test, of 2 x 3 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    values = (
        np.arange(24).reshape(4, 2, 3),
        np.array([9, 0, 1, 2]),
        np.arange(100, 112).reshape(2, 2, 3),
        np.array([3, 9]),
    )
    for name, held in zip(FILES, values, strict=True):
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(idx(held)) if zipped else idx(held))
    return folder


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without images, on a machine without the Debian package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    return tmp_path


def stand_in_for_torchvision(monkeypatch: pytest.MonkeyPatch, download: object) -> None:
    package, datasets = ModuleType("torchvision"), ModuleType("torchvision.datasets")
    datasets.FashionMNIST = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)


def no_download(root: str, download: bool) -> None:
    raise AssertionError(f"asked for a download to {root}")


def test_the_published_splits_are_kept(tmp_path: Path) -> None:
    images = load_fashion_mnist(write_files(tmp_path))
    assert images.image_ids == ("train/00000", "train/00001", "train/00002", "train/00003", "test/00000", "test/00001")
    assert images.rows("train").tolist() == [0, 1, 2, 3]
    assert images.rows("test").tolist() == [4, 5]
    assert images.labels.tolist() == [9, 0, 1, 2, 3, 9]
    assert images.class_names == CLASS_NAMES
    assert images.pixels[4, ..., 0].tolist() == [[100, 101, 102], [103, 104, 105]]


@pytest.mark.parametrize("zipped", [True, False])
def test_the_layout_that_torchvision_leaves_is_found(tmp_path: Path, zipped: bool) -> None:
    write_files(tmp_path / "FashionMNIST" / "raw", zipped)
    assert len(load_fashion_mnist(tmp_path).pixels) == 6


def test_files_that_are_not_under_root_are_named_and_nothing_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_for_torchvision(monkeypatch, no_download)
    (write_files(tmp_path) / f"{FILES[1]}.gz").unlink()
    with pytest.raises(DataError, match=r"lacks train-labels-idx1-ubyte.gz \(looked .*data.root="):
        load_fashion_mnist(tmp_path)


@pytest.mark.parametrize("place", ["data", "data/FashionMNIST/raw", "debian"])
def test_files_that_are_there_are_used_without_a_download(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    stand_in_for_torchvision(monkeypatch, no_download)
    write_files(nothing_installed / place)
    assert len(load_fashion_mnist().pixels) == 6


def test_without_any_files_torchvision_downloads_them(nothing_installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(root: str, download: bool) -> None:
        assert download
        write_files(Path(root, "FashionMNIST", "raw"))

    stand_in_for_torchvision(monkeypatch, download)
    assert len(load_fashion_mnist().pixels) == 6


@pytest.mark.parametrize(
    "error", [RuntimeError("Error downloading x:\nTried y"), OSError("no route"), ImportError("no torch")]
)
def test_a_failed_download_says_what_was_tried_and_what_to_do(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def download(root: str, download: bool) -> None:
        raise error

    message = " ".join(str(error).split())  # in one line
    stand_in_for_torchvision(monkeypatch, download)
    with pytest.raises(
        DataError, match=f"neither in data/ nor in .*debian.*{message}.*dataset-fashion-mnist.*data.root="
    ):
        load_fashion_mnist()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (FILES[0], b"", "starts with nothing, not with 0x00000803"),
        (FILES[0], idx(np.zeros(4)), "starts with 0x00000801, not with 0x00000803"),
        (FILES[0], idx(np.zeros((4, 2, 3)))[:-1], r"promises 24 bytes of \(4, 2, 3\) values, but holds 23"),
        (FILES[0], idx(np.zeros((4, 2, 3))) + b"x", "promises 24 bytes .*, but holds 25"),
        (FILES[1], idx(np.zeros((4, 2, 3))), "starts with 0x00000803, not with 0x00000801"),
        (FILES[1], idx(np.zeros(5)), "holds 5 labels, but .*train-images-idx3-ubyte.gz 4 images"),
        (FILES[3], idx(np.array([0, 10])), "holds label 10, but the classes end at 9"),
        (FILES[2], idx(np.zeros((2, 3, 2))), r"train images are \(2, 3\) pixels, test images \(3, 2\)"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    damaged = write_files(tmp_path) / f"{name}.gz"
    damaged.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=complaint) as raised:
        load_fashion_mnist(tmp_path)
    assert str(damaged) in str(raised.value) or "pixels" in complaint


@pytest.mark.parametrize("damage", [lambda raw: raw[:-12], lambda raw: b"no gzip", lambda raw: raw[:20] + b"\xff" * 9])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, damage: object) -> None:
    damaged = write_files(tmp_path) / f"{FILES[0]}.gz"
    damaged.write_bytes(damage(damaged.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match=re.escape(f"{damaged} cannot be read (")):
        load_fashion_mnist(tmp_path)


def test_idx_values_keep_their_shape(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(idx(np.arange(6).reshape(1, 2, 3)))
    assert read_idx(tmp_path / "plain", dimensions=3).tolist() == [[[0, 1, 2], [3, 4, 5]]]


@pytest.mark.skipif(not DEBIAN.is_dir(), reason=f"no {DEBIAN}: apt-get install dataset-fashion-mnist")
def test_the_real_set_has_its_70_000_images_and_loads_quickly() -> None:
    start_s = time.process_time()
    images = load_fashion_mnist(DEBIAN)
    hashes = images.image_sha256
    busy_s = time.process_time() - start_s
    assert images.pixels.shape == (70_000, 28, 28, 1)
    assert np.bincount(images.labels[:60_000]).tolist() == [6000] * 10
    assert np.bincount(images.labels[60_000:]).tolist() == [1000] * 10
    assert images.labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert len(set(hashes)) == 70_000
    assert busy_s < 3  # measured: 0.5
