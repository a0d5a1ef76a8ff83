"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 70,000 grey images of 28 x 28 pixels in ten classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageSet
from trainables.decoding.decode import fit_grey
from trainables.errors import DataError
from trainables.layouts.arrays import mnist_family
from trainables.layouts.arrays.idx_file import parse_idx, unpack_idx
from trainables.store import layout

CLASS_NAMES = mnist_family.FASHION

DOWNLOADS = Path("data")
"""Folder of torchvision's download."""

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Folder of the Debian package `dataset-fashion-mnist`."""

_PREFIXES = {"train": "train", "test": "t10k"}
_NAMES = tuple(
    f"{prefix}-{what}" for prefix in _PREFIXES.values() for what in ("images-idx3-ubyte", "labels-idx1-ubyte")
)


def load_fashion_mnist(
    root: Path | None = None, size: int | tuple[int, int] | None = None, channels: int | None = None
) -> ImageSet:
    """All images, ids `train/00000` to `test/09999`, in the published splits `train` and `test`.

    `root` holds the four `*-ubyte.gz` files, or torchvision's `FashionMNIST/raw`. Without it: `DOWNLOADS`, then
    `DEBIAN`, then a download by torchvision. `size` and `channels` as in `fit_grey`.
    Raises `DataError` where files are missing, damaged, or cannot be downloaded.
    """
    files = _files_under(root) if root else _files_anywhere()
    grey: list[npt.NDArray[np.uint8]] = []
    labels: list[npt.NDArray[np.uint8]] = []
    image_ids, splits = [], []
    for split, prefix in _PREFIXES.items():
        images_file, labels_file = files[f"{prefix}-images-idx3-ubyte"], files[f"{prefix}-labels-idx1-ubyte"]
        for file, dimensions, values in ((images_file, 3, grey), (labels_file, 1, labels)):
            found, known = _read_known(file, dimensions)
            if known not in ("", "Fashion-MNIST"):
                raise DataError(
                    f"{file} is a file of {known}, not of Fashion-MNIST: name its folder with data.path={file.parent}, or the folder "
                    "of Fashion-MNIST with data.root="
                )
            values.append(found)
        count = len(grey[-1])
        if len(labels[-1]) != count:
            raise DataError(
                f"{labels_file} holds {len(labels[-1])} labels, but {images_file} {count} images: fetch both again"
            )
        if count and labels[-1].max() >= len(CLASS_NAMES):
            raise DataError(f"{labels_file} holds label {labels[-1].max()}, but the classes end at 9: fetch it again")
        image_ids += [f"{split}/{row:05d}" for row in range(count)]
        splits.append(np.full(count, layout.SPLITS.index(split), np.int8))
    if grey[0].shape[1:] != grey[1].shape[1:]:
        raise DataError(
            f"train images are {grey[0].shape[1:]} pixels, test images {grey[1].shape[1:]}: fetch the files again"
        )
    return ImageSet(
        name="fashion-mnist",
        pixels=fit_grey(np.concatenate(grey), size, channels),
        labels=np.concatenate(labels).astype(np.int64),
        image_ids=tuple(image_ids),
        class_names=CLASS_NAMES,
        splits=np.concatenate(splits),
    )


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """The values of an IDX file (LeCun 1998), gzipped or not: big-endian magic and sizes, then one byte for each value.

    Raises `DataError`, which names the file and the problem.
    """
    return _read_known(path, dimensions)[0]


def _read_known(path: Path, dimensions: int) -> tuple[npt.NDArray[np.uint8], str]:
    """The values, and the name of the published set that the file belongs to; "" where it is no file of a known one."""
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}): fetch it again") from None
    data = unpack_idx(str(path), packed)
    return parse_idx(str(path), data, dimensions), mnist_family.recognise(path.name, packed, data)


def _find(root: Path) -> dict[str, Path]:
    """Paths of those of the four files that exist under `root`, by name without `.gz`."""
    places = (root, root / "FashionMNIST" / "raw")
    candidates = ((name, place / f"{name}{end}") for name in _NAMES for place in places for end in (".gz", ""))
    found: dict[str, Path] = {}
    for name, candidate in candidates:
        if candidate.is_file():
            found.setdefault(name, candidate)
    return found


def _files_under(root: Path) -> dict[str, Path]:
    files = _find(root)
    if missing := [f"{name}.gz" for name in _NAMES if name not in files]:
        raise DataError(
            f"{root} lacks {', '.join(missing)} (looked there and in FashionMNIST/raw): "
            "name the folder that holds the four files with data.root="
        )
    return files


def _files_anywhere() -> dict[str, Path]:
    for place in (DOWNLOADS, DEBIAN):
        files = _find(place)
        if len(files) == len(_NAMES):
            return files
    try:
        from torchvision.datasets import FashionMNIST

        FashionMNIST(str(DOWNLOADS), download=True)
    except (ImportError, OSError, RuntimeError) as error:
        raise DataError(
            f"Fashion-MNIST lies neither in {DOWNLOADS}/ nor in {DEBIAN}, and torchvision could not download it to "
            f"{DOWNLOADS}/ ({' '.join(str(error).split())}): install the Debian package dataset-fashion-mnist, or fetch the four *-ubyte.gz "
            "files elsewhere and name their folder with data.root="
        ) from None
    return _files_under(DOWNLOADS)
