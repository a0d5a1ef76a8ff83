"""Data sets that everybody knows by name, as torchvision downloads them: fetched once, then read as any folder is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainables.config.data import DataConfig
from trainables.datasets.fashion_mnist import DOWNLOADS
from trainables.errors import DataError

_CIFAR = "https://www.cs.toronto.edu/~kriz"
"""Of CIFAR torchvision downloads the pickled form, which is not read here; these are the same images in binary form (Krizhevsky
2009), with the MD5 sums of that page."""


@dataclass(frozen=True)
class Published:
    """A set, where its download lies below the root, and how it gets there."""

    name: str
    folder: str
    fetch: Callable[[str], None]

    def __call__(self, config: DataConfig) -> DataConfig:
        """`config` with the set's folder as its `path`; downloads the set where it is not there. Raises `DataError`."""
        root = Path(config.root).expanduser() if config.root else DOWNLOADS
        folder = root / self.folder
        if not folder.is_dir():
            if config.root and root.is_dir() and any(root.iterdir()):
                folder = root  # the set's own folder, however it is called
            else:
                self._download(root)
        return config.model_copy(update={"name": None, "root": None, "path": str(folder)})

    def _download(self, root: Path) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True)
            self.fetch(str(root))
        except (ImportError, OSError, RuntimeError) as error:
            raise DataError(
                f"{self.name} is not in {root / self.folder}, and could not be downloaded to {root} ({' '.join(str(error).split())}): fetch it "
                "elsewhere, and name its folder with data.root="
            ) from None
        if not (root / self.folder).is_dir():
            raise DataError(
                f"the download of {self.name} left no folder {root / self.folder}: name its folder with data.root="
            )


def _fetch(name: str, *splits: str, below: str = "", key: str = "split") -> Callable[[str], None]:
    """torchvision's own download of a set; each of `splits` where they are downloaded one by one."""

    def fetch(root: str) -> None:
        from torchvision import datasets

        kind, place = getattr(datasets, name), str(Path(root, below))
        for split in splits:
            kind(place, **{key: split}, download=True)
        if not splits:
            kind(place, download=True)

    return fetch


def _fetch_archive(file: str, md5: str) -> Callable[[str], None]:
    def fetch(root: str) -> None:
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(f"{_CIFAR}/{file}", root, md5=md5)

    return fetch


CIFAR10 = Published(
    "cifar10",
    "cifar-10-batches-bin",
    _fetch_archive("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
)
CIFAR100 = Published(
    "cifar100",
    "cifar-100-binary",
    _fetch_archive("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
)
MNIST = Published("mnist", "MNIST/raw", _fetch("MNIST"))
KMNIST = Published("kmnist", "KMNIST/raw", _fetch("KMNIST"))
QMNIST = Published("qmnist", "QMNIST/raw", _fetch("QMNIST", "train", "test", key="what"))
SVHN = Published("svhn", "svhn", _fetch("SVHN", "train", "test", below="svhn"))
STL10 = Published("stl10", "stl10_binary", _fetch("STL10"))
FLOWERS102 = Published("flowers102", "flowers-102", _fetch("Flowers102"))
PETS = Published("oxford-iiit-pet", "oxford-iiit-pet", _fetch("OxfordIIITPet"))
FOOD101 = Published("food101", "food-101", _fetch("Food101"))
EUROSAT = Published("eurosat", "eurosat/2750", _fetch("EuroSAT"))
