"""Equalised images, by hand, by the library, and whatever their size."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from trainables.data.equalise import CLIP, check_equalise, count_tiles, equalise_pixels
from trainables.errors import DataError

RNG = np.random.default_rng(0)


def images(*shape: int) -> torch.Tensor:
    """Dark ones: levels up to 99."""
    return torch.from_numpy(RNG.integers(0, 100, shape, dtype=np.uint8))


def by_the_book(grey: np.ndarray) -> np.ndarray:
    """255 times the share of pixels that are not brighter."""
    share = np.array([(grey <= level).mean() for level in range(256)])
    return np.rint(255 * share)[grey]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([[0, 0], [128, 255]], [[128, 128], [191, 255]]),  # shares 1/2, 3/4, 1; halves are rounded to even
        ([[10, 11], [12, 13]], [[64, 128], [191, 255]]),
        ([[7, 7, 7], [7, 7, 7]], [[255, 255, 255], [255, 255, 255]]),
        ([[0, 50, 50, 50, 200]] * 2, [[51, 204, 204, 204, 255]] * 2),
    ],
)
def test_a_level_becomes_the_share_of_pixels_that_are_not_brighter(
    before: list[list[int]], after: list[list[int]]
) -> None:
    found = equalise_pixels(torch.tensor(before, dtype=torch.uint8)[None, ..., None], "histogram")
    assert found.dtype == torch.float32
    assert found[0, ..., 0].tolist() == after


@pytest.mark.parametrize("size", [(8, 8), (17, 23), (28, 28), (33, 64)])
def test_small_and_odd_images_are_equalised_by_the_book(size: tuple[int, int]) -> None:
    """Pillow's rule leaves those of 8 x 8 as they are."""
    some = images(3, *size, 1)
    found = equalise_pixels(some, "histogram").numpy()
    assert np.array_equal(found[..., 0], np.stack([by_the_book(one) for one in some[..., 0].numpy()]))


def test_clahe_is_that_of_kornia() -> None:
    from kornia.enhance import equalize_clahe

    some = images(2, 50, 64, 1)
    expected = equalize_clahe(some.permute(0, 3, 1, 2).float() / 255, CLIP, (2, 2)).mul(255).round()
    assert torch.equal(equalise_pixels(some, "clahe"), expected.permute(0, 2, 3, 1))


def test_clahe_differs_from_place_to_place_and_its_contrast_is_limited() -> None:
    flat = torch.full((1, 96, 96, 1), 90, dtype=torch.uint8)
    flat[0, :24, :24:2] = 91  # a pattern that is hardly to be seen, in one corner
    local, whole = (equalise_pixels(flat, kind)[0, ..., 0] for kind in ("clahe", "histogram"))
    assert whole.unique().numel() == 2
    assert local.unique().numel() > 2
    assert (local[60:, 60:] - 90).abs().max() < 10  # where nothing is, little is made of it
    assert (whole[60:, 60:] - 90).abs().max() > 100


@pytest.mark.parametrize("kind", ["histogram", "clahe"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(2, 2), (2, 3), (8, 8), (25, 12), (26, 37), (71, 24), (100, 9), (97, 96)])
def test_every_size_gives_whole_levels_of_each_image_by_itself(size: tuple[int, int], channels: int, kind: str) -> None:
    some = images(3, *size, channels)
    found = equalise_pixels(some, kind)  # type: ignore[arg-type]
    assert found.shape == some.shape
    assert torch.equal(found, found.to(torch.uint8).float())
    assert torch.equal(found[1:2], equalise_pixels(some[1:2], kind))  # type: ignore[arg-type]
    assert torch.equal(found, equalise_pixels(some.float() + 0.3, kind))  # type: ignore[arg-type]
    assert found.max() > some.max()


@pytest.mark.parametrize("kind", ["histogram", "clahe"])
def test_grey_gives_the_same_in_one_channel_and_in_three(kind: str) -> None:
    grey = images(2, 30, 30, 1)
    one, three = (equalise_pixels(some, kind) for some in (grey, grey.repeat(1, 1, 1, 3)))  # type: ignore[arg-type]
    assert torch.equal(one.repeat(1, 1, 1, 3), three)


def test_colours_keep_their_hue_and_luminance_is_that_of_pillow() -> None:
    some = images(1, 20, 20, 3)
    before, after = some[0].float(), equalise_pixels(some, "histogram")[0]
    grey = np.asarray(Image.fromarray(some[0].numpy()).convert("L"))
    change = torch.from_numpy(by_the_book(grey) - grey).float()
    assert torch.equal(after, (before + change[..., None]).clamp(0, 255))


def test_none_changes_nothing() -> None:
    some = images(2, 5, 5, 3)
    assert torch.equal(equalise_pixels(some, "none"), some.float())


def test_tiles_are_no_smaller_than_a_histogram_needs() -> None:
    assert [count_tiles(side) for side in (1, 47, 48, 72, 191, 192, 1000)] == [1, 1, 2, 3, 7, 8, 8]


def test_a_line_is_refused() -> None:
    with pytest.raises(DataError, match=r"^data.equalise is clahe, but images are 1 x 30 pixels, and it takes 2 x 2"):
        equalise_pixels(images(1, 1, 30, 1), "clahe")
    check_equalise("none", 1, 30)


def test_without_kornia_a_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.data.equalise.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"^data.equalise is clahe, but kornia is not installed: pip install .*kornia"):
        check_equalise("clahe", 28, 28)
    check_equalise("none", 28, 28)


def test_the_check_imports_neither_torch_nor_kornia() -> None:
    asked = "import sys; from trainables.data.equalise import check_equalise as c; c('clahe', 9, 9)"
    loaded = f"{asked}; print([name for name in ('torch', 'kornia') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "[]\n"
    assert importlib.util.find_spec("kornia")
