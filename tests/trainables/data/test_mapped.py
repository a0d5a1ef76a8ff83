"""Mapped pixels go to another process as a path; everything else as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainables.cache.entry import Draft
from trainables.cache.folder import Cache
from trainables.data.images import ImageArrays, hash_images
from trainables.data.mapped import MappedArrays, find_file, read_ahead, without_copy
from trainables.errors import DataError


def arrays(pixels: np.ndarray) -> ImageArrays:
    return ImageArrays(pixels, np.arange(len(pixels)) % 2, np.zeros(len(pixels), np.int8), 2)


@pytest.fixture
def mapped(tmp_path: Path) -> ImageArrays:
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 8, 8, 3), np.uint8)
    with Draft(Cache(tmp_path, keeps_all=True), pixels.shape) as draft:
        draft.write(pixels)
        entry = draft.keep("key", np.arange(2000), hash_images(pixels), {})
    assert entry is not None
    return arrays(entry.pixels)


def test_a_path_is_sent_in_place_of_pixels_that_are_mapped(mapped: ImageArrays) -> None:
    sent = without_copy(mapped)
    assert isinstance(sent, MappedArrays)
    assert sent.others.pixels.nbytes == 0
    assert sent.others.pixels.base is None
    found = sent.open()
    assert np.array_equal(found.pixels, mapped.pixels)
    assert np.array_equal(found.labels, mapped.labels)
    assert not found.pixels.flags.writeable


def test_pixels_in_memory_are_sent_themselves(mapped: ImageArrays) -> None:
    for pixels in (mapped.pixels.copy(), mapped.pixels[5:], mapped.pixels[::2], mapped.pixels[:2000]):
        assert find_file(pixels) is None
        assert without_copy(whole := arrays(pixels)) is whole


def test_a_file_that_is_gone_or_another_one_is_one_sentence(mapped: ImageArrays) -> None:
    sent = without_copy(mapped)
    assert isinstance(sent, MappedArrays)
    path = Path(sent.file.path)
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(DataError, match=r"holds the pixels and cannot be read .*: run it again"):
        sent.open()
    path.write_bytes(content)
    with pytest.raises(DataError, match="has changed since the run began"):
        sent.open()


def test_images_that_are_asked_for_ahead_are_in_memory_and_unchanged(mapped: ImageArrays) -> None:
    before = mapped.pixels.copy()
    ask = read_ahead(mapped.pixels)
    assert ask is not None
    ask([0, 1999, 7, 7])
    ask(range(2000))
    assert np.array_equal(mapped.pixels, before)
    assert read_ahead(before) is None
