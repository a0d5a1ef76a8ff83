"""Loads the images that a `DataConfig` names, each in its split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trainables.data.images import ImageSet
from trainables.data.split import split_images
from trainables.data.subset import limit_train, select_classes
from trainables.datasets.arrays import MEMORY
from trainables.datasets.config import DataConfig
from trainables.datasets.csv_table import load_csv_table
from trainables.datasets.digits import load_digits
from trainables.datasets.fashion_mnist import load_fashion_mnist
from trainables.datasets.folder_tree import load_folder_tree
from trainables.errors import DataError
from trainables.store import layout


def load_images(config: DataConfig) -> ImageSet:
    """The images that `config` names, each in its split.

    Raises `DataError` where they are missing or damaged, too few for the split, or lack a class that `config` names.
    """
    if config.name == MEMORY:
        raise DataError(
            "data.name is arrays: these images were handed over by a program, and are stored nowhere: let it hand them over "
            "again (`Sweep(data=(images, labels)).run()`)"
        )
    whole = _load(config)
    if config.classes is not None:
        whole = select_classes(whole, config.classes)
    published_test = whole.splits == layout.SPLITS.index("test")
    splits = split_images(
        whole.labels,
        whole.image_sha256,
        config.validation,
        config.test,
        config.split_seed,
        published_test=published_test if published_test.any() else None,
    )
    images = replace(whole, splits=splits)
    return images if config.train is None else limit_train(images, config.train, config.split_seed)


def _load(config: DataConfig) -> ImageSet:
    root = _local(config.root) if config.root else None
    if config.path:
        return load_folder_tree(_local(config.path), config.size, config.channels)
    if config.csv:
        return load_csv_table(
            _local(config.csv), root, config.image_column, config.label_column, config.size, config.channels
        )
    if config.name == "fashion-mnist":
        return load_fashion_mnist(root, config.size, config.channels)
    return load_digits(config.size, config.channels)


def _local(place: str) -> Path:
    return Path(place).expanduser()
