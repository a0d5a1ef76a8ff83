"""Colours by hand: factors on pixels, grey that stays, a hue that turns."""

from __future__ import annotations

import pytest
import torch

from tests.trainables.training.tiny_trials import CPU
from trainables.augment.colour import LUMA, colour_maps, recolour
from trainables.augment.draws import draw_values
from trainables.config.augment import AugmentConfig
from trainables.data.image_shape import ImageShape

RED = [[[[1.0, 0.0, 0.0]]]]


def recoloured(pixels: list[list[list[list[float]]]], **values: float) -> list[float]:
    changed = recolour(torch.tensor(pixels), {key: torch.tensor([value]) for key, value in values.items()})
    return [float(value) for value in changed.flatten()]


def test_exposure_multiplies_pixels() -> None:
    assert recoloured([[[[0.2], [0.4]]]], exposure=1.5) == pytest.approx([0.3, 0.6])


def test_contrast_moves_pixels_from_the_mean_of_their_image() -> None:
    assert recoloured([[[[0.2], [0.4]]]], contrast=1.5) == pytest.approx([0.15, 0.45])  # the mean is 0.3
    assert recoloured([[[[0.2], [0.4]]]], contrast=0.0) == pytest.approx([0.3, 0.3])


def test_contrast_of_colours_is_about_their_mean_grey() -> None:
    assert recoloured(RED, contrast=0.5) == pytest.approx([0.5 + LUMA[0] / 2, LUMA[0] / 2, LUMA[0] / 2])


def test_exposure_comes_before_contrast() -> None:
    # 0.2 and 0.4 become 0.3 and 0.6, whose mean is 0.45
    assert recoloured([[[[0.2], [0.4]]]], exposure=1.5, contrast=0.5) == pytest.approx([0.375, 0.525])


def test_each_image_has_its_own_factor() -> None:
    changed = recolour(torch.full((2, 1, 1, 1), 0.4), {"exposure": torch.tensor([0.5, 2.0])})
    assert changed.flatten().tolist() == pytest.approx([0.2, 0.8])


def test_saturation_of_zero_is_grey_of_the_same_brightness_and_of_one_changes_nothing() -> None:
    assert recoloured(RED, saturation=0.0) == pytest.approx([LUMA[0]] * 3, abs=1e-4)
    assert recoloured(RED, saturation=1.0) == pytest.approx([1, 0, 0], abs=1e-5)
    # half way from grey: 0.299 + 0.5 x (1 - 0.299)
    assert recoloured(RED, saturation=0.5) == pytest.approx([0.6495, 0.1495, 0.1495], abs=1e-4)


def test_a_hue_leaves_greys_and_brightness_and_half_a_circle_is_the_opposite_colour() -> None:
    assert recoloured([[[[0.3, 0.3, 0.3]]]], hue=0.2) == pytest.approx([0.3] * 3, abs=1e-4)
    for hue in (0.1, 0.25, 0.4):
        grey = sum(share * value for share, value in zip(LUMA, recoloured(RED, hue=hue), strict=True))
        assert grey == pytest.approx(LUMA[0], abs=1e-4)
    opposite = [2 * LUMA[0] - 1, 2 * LUMA[0], 2 * LUMA[0]]
    assert recoloured(RED, hue=0.5) == pytest.approx(opposite, abs=1e-4)


def test_a_third_of_the_circle_takes_red_towards_green() -> None:
    red, green, blue = recoloured(RED, hue=1 / 3)
    assert green > red
    assert green > blue


def test_turning_on_and_back_is_the_colour_as_it_was() -> None:
    forth = colour_maps({"hue": torch.tensor([0.3])}, 1, CPU)
    back = colour_maps({"hue": torch.tensor([-0.3])}, 1, CPU)
    assert torch.allclose(forth @ back, torch.eye(3), atol=1e-5)


def test_draws_of_colours_fill_their_ranges() -> None:
    config = AugmentConfig(hue=0.1, saturation=0.3, exposure=0.4, contrast=0.5)
    drawn = draw_values(config, ImageShape(4, 4, 3, 2), 4000, torch.Generator().manual_seed(0))
    for key, low, high in (
        ("hue", -0.1, 0.1),
        ("saturation", 0.7, 1.3),
        ("exposure", 0.6, 1.4),
        ("contrast", 0.5, 1.5),
    ):
        assert low - 1e-6 <= drawn[key].min() < low + 0.01
        assert high - 0.01 < drawn[key].max() <= high + 1e-6
