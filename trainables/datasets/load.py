"""Loads the images that a `DataConfig` names, each in its split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.images import ImageSet
from trainables.data.split import split_images
from trainables.data.subset import limit_train, select_classes
from trainables.datasets.arrays import images_from_arrays
from trainables.datasets.config import DataConfig
from trainables.datasets.csv_table import load_csv_table
from trainables.datasets.folder_tree import load_folder_tree
from trainables.errors import DataError
from trainables.plugins.call import choose_keys, naming, refuse_unknown
from trainables.plugins.kinds import DATA
from trainables.store import layout


def load_images(config: DataConfig) -> ImageSet:
    """The images that `config` names, each in its split.

    Raises `DataError` where they are missing or damaged, too few for the split, or lack a class that `config` names, and
    `PluginUnusable` where a custom source cannot be imported or does not take a key.
    """
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
    assert config.name is not None  # by construction
    function = DATA.find(config.name)
    known = {"root": root, "size": config.size, "channels": config.channels}
    if not config.has_plugin:
        images: ImageSet = function(**choose_keys(function, 0, known, {}))
        return images
    return _load_custom(config, function, known)


def _load_custom(config: DataConfig, function: Callable[..., Any], known: Mapping[str, Any]) -> ImageSet:
    """The images of a plug-in: an `ImageSet`, or arrays as `images_from_arrays` takes them: images, labels[, class names]."""
    asked = {key: value for key, value in known.items() if value is not None}
    refuse_unknown("data", asked | config.custom_keys, {str(config.name): (function, 0)})
    with naming(f"data.name is {config.name}", DataError):
        found = function(**choose_keys(function, 0, known, config.custom_keys))
    if isinstance(found, ImageSet):
        return found
    if not isinstance(found, tuple) or len(found) not in (2, 3):
        raise DataError(
            f"data.name is {config.name}: it returned {type(found).__name__}, but (images, labels), (images, labels, class names) or "
            "an ImageSet is needed"
        )
    try:
        return replace(images_from_arrays(*found), name=str(config.name), splits=np.zeros(len(found[0]), np.int8))
    except DataError as error:
        raise DataError(f"data.name is {config.name}: {error}") from None


def _local(place: str) -> Path:
    return Path(place).expanduser()
