"""Damages the bytes of files in every way that a seed gives, for tests of readers: only `DataError` may come of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.detect import Layout
from trainables.places.archive import ZipPlace
from trainables.places.folder import FolderPlace
from trainables.places.open import Source

CONFIG = DataConfig(path="data")


def write(folder: Path, files: Mapping[str, bytes]) -> Source:
    """The place of `files` in a folder of a disk."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Source(FolderPlace(folder))


def pack(files: Mapping[str, bytes]) -> Source:
    """The place of `files` in a zip archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return Source(ZipPlace("data.zip", data))


def read_damaged(layout: Layout, files: Mapping[str, bytes], tries: int = 60, within: int = 400) -> int:
    """Reads `files` with one of them damaged, `tries` times; the number of times that it was refused.

    A file is cut, or bytes of its first and last `within` are changed. Whatever is not a `DataError` is raised.
    """
    refused = 0
    for seed in range(tries):
        random = np.random.default_rng(seed)
        name = str(random.choice(sorted(files)))
        content = bytearray(files[name])
        if seed % 3 == 0:
            content = content[: random.integers(len(content) + 1)]
        elif content:
            for _ in range(random.integers(1, 9)):
                place = int(random.integers(min(within, len(content))))
                content[place if seed % 3 == 1 else -1 - place] = random.integers(256)
        try:
            source = pack({**files, name: bytes(content)})
            if layout.matches(source):
                for image in layout.read(source, CONFIG).images:
                    image.open()
        except DataError as error:
            if "\n" in str(error):
                raise AssertionError(f"a message of several lines: {error}") from None
            refused += 1
    return refused
