"""Images flipped, cropped, turned and covered: small ones, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.training.tiny_trials import CPU
from trainables.augment.draws import AREA, draw_values
from trainables.augment.geometry import (
    affine_maps,
    crop_images,
    erase_images,
    flip_images,
    paste,
    places_of,
    sample_images,
)
from trainables.augment.pipeline import Augment
from trainables.config.augment import AugmentConfig
from trainables.data.image_shape import ImageShape

THREE = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]


def grey(*images: list[list[float]]) -> Tensor:
    """Float32 (images, height, width, 1)."""
    return torch.tensor(images)[..., None]


def rows(pixels: Tensor) -> list[list[float]]:
    """The first image's first channel, rounded."""
    return [[round(value, 4) for value in row] for row in pixels[0, :, :, 0].tolist()]


def turn(image: list[list[float]], **values: Any) -> list[list[float]]:
    pixels = grey(image)
    _, height, width, _ = pixels.shape
    tensors = {key: torch.tensor([value]) for key, value in values.items()}
    return rows(sample_images(pixels, affine_maps(tensors, 1, height, width, CPU), places_of(height, width, CPU)))


def draw(count: int = 4000, shape: tuple[int, int, int] = (10, 20, 3), **keys: Any) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return dict(draw_values(AugmentConfig(**keys), ImageShape(*shape, classes=2), count, generator))


def test_a_flip_mirrors_left_and_right_and_only_the_images_it_is_drawn_for() -> None:
    flipped = flip_images(grey([[1.0, 2.0]], [[3.0, 4.0]]), torch.tensor([True, False]))
    assert flipped[:, 0, :, 0].tolist() == [[2, 1], [3, 4]]


def test_a_flip_of_probability_one_is_of_all_images_and_of_a_quarter_of_a_quarter() -> None:
    assert draw(flip=1.0)["flip"].all()
    assert draw(flip=0.25)["flip"].float().mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ([0, 0], THREE),
        ([1, 0], [[4, 5, 6], [1, 2, 3], [4, 5, 6]]),  # down: above the first row is the second one
        ([0, 1], [[2, 1, 2], [5, 4, 5], [8, 7, 8]]),
        ([-1, 0], [[4, 5, 6], [7, 8, 9], [4, 5, 6]]),
        ([0, -2], [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        ([4, 4], THREE),  # reflected there and back
    ],
)
def test_a_crop_moves_by_whole_pixels_and_reflects_the_border(by: list[int], expected: list[list[float]]) -> None:
    assert rows(crop_images(grey(THREE), torch.tensor([by]))) == expected


def test_a_crop_after_a_flip_is_that_of_the_flipped_image() -> None:
    by, flip = torch.tensor([[0, 1], [0, 1]]), torch.tensor([True, False])
    pixels = torch.rand(2, 4, 5, 3)
    assert torch.equal(crop_images(pixels, by, flip), crop_images(flip_images(pixels, flip), by))


def test_crops_are_whole_pixels_on_both_axes_up_to_the_key() -> None:
    crops = draw(crop=2)["crop"]
    assert {tuple(crop) for crop in crops.tolist()} == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}


def test_a_quarter_turn_is_to_the_left() -> None:
    assert turn(THREE, rotation=90.0) == [[3, 6, 9], [2, 5, 8], [1, 4, 7]]


def test_a_half_turn_turns_an_image_that_is_not_square_about_its_middle() -> None:
    assert turn([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], rotation=180.0) == [[6, 5, 4], [3, 2, 1]]


def test_a_quarter_turn_of_a_wide_image_keeps_the_shape_of_what_is_on_it() -> None:
    bar = [[0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]
    assert turn(bar, rotation=90.0) == [[0, 0, 1, 0, 0]] * 3


def test_a_shift_moves_down_and_to_the_right_also_by_parts_of_pixels() -> None:
    assert turn(THREE, shift=[1.0, 0.0])[1:] == [[1, 2, 3], [4, 5, 6]]
    assert [row[1:] for row in turn(THREE, shift=[0.0, 1.0])] == [[1, 2], [4, 5], [7, 8]]
    assert [row[1:] for row in turn(THREE, shift=[0.0, 0.5])] == [[1.5, 2.5], [4.5, 5.5], [7.5, 8.5]]


def test_a_scale_of_three_shows_the_middle_three_times_as_large() -> None:
    image = [[0.0] * 9 for _ in range(9)]
    image[4][4] = 1.0
    assert [row[4] for row in turn(image, scale=3.0)] == pytest.approx(
        [0, 0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0, 0], abs=1e-4
    )


def test_a_shear_across_moves_rows_apart_and_leaves_the_middle_one() -> None:
    lines = [[0.0, 0.0, 1.0, 0.0, 0.0]] * 3
    # tan 45 degrees is 1: a row one above the middle is moved by one pixel
    assert turn(lines, shear=[45.0, 0.0]) == [[0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]


def test_a_shear_down_moves_columns_apart_and_leaves_the_middle_one() -> None:
    lines = [[0.0] * 3, [0.0] * 3, [1.0] * 3, [0.0] * 3, [0.0] * 3]
    sheared = turn(lines, shear=[0.0, 45.0])
    assert [[row[column] for row in sheared] for column in range(3)] == [
        [0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
    ]


def test_a_flip_and_a_crop_with_a_turn_are_part_of_the_one_resampling() -> None:
    assert turn(THREE, flip=True) == [row[::-1] for row in THREE]
    assert turn(THREE, rotation=90.0, flip=True) == [[1, 4, 7], [2, 5, 8], [3, 6, 9]]  # flipped first, then turned
    assert turn(THREE, crop=[1, 0], rotation=0.0)[1:] == THREE[:2]


def test_nothing_drawn_is_the_image_as_it_is() -> None:
    assert turn(THREE, rotation=0.0, shear=[0.0, 0.0], shift=[0.0, 0.0], scale=1.0) == THREE


def test_draws_fill_their_ranges_and_go_no_further() -> None:
    values = draw(rotation=10.0, shear=5.0, shift=0.1, scale=0.2)
    for draws, low, high in (
        (values["rotation"], -10, 10),
        (values["shear"][:, 0], -5, 5),
        (values["shear"][:, 1], -5, 5),
        (values["shift"][:, 0], -1, 1),  # a tenth of 10 pixels of height
        (values["shift"][:, 1], -2, 2),  # and of 20 of width
        (values["scale"], 0.8, 1.2),
    ):
        assert low <= draws.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < draws.max() <= high


def test_an_erased_rectangle_is_filled_with_the_mean_of_each_channel_of_its_own_image() -> None:
    pixels = torch.zeros(2, 2, 2, 2)
    pixels[0, 0, 0, 0], pixels[1, 1, 1, 1] = 0.4, 0.8
    erased = erase_images(pixels, torch.tensor([[0, 0, 1, 2], [0, 1, 0, 1]]))  # the second one has no height

    assert erased[0, :, :, 0].flatten().tolist() == pytest.approx([0.1, 0.1, 0, 0])
    assert erased[0, :, :, 1].flatten().tolist() == [0, 0, 0, 0]
    assert torch.equal(erased[1], pixels[1])


def test_rectangles_lie_inside_with_the_drawn_probability_and_area() -> None:
    top, left, height, width = draw(erasing=0.3, shape=(50, 80, 1))["erasing"].unbind(1)
    there = height > 0

    assert there.float().mean() == pytest.approx(0.3, abs=0.03)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 50).all()
    assert (left + width <= 80).all()
    share = (height * width)[there] / (50 * 80)
    assert AREA[0] - 0.01 < share.min() < AREA[0] + 0.02
    assert AREA[1] - 0.05 < share.max() < AREA[1] + 0.01


def test_pasting_takes_the_rectangle_from_the_other_image_and_the_rest_from_its_own() -> None:
    pasted = paste(grey(THREE), grey([[0.0] * 3] * 3), torch.tensor([[1, 1, 2, 1]]))
    assert rows(pasted) == [[1, 2, 3], [4, 0, 6], [7, 0, 9]]


def test_noise_has_the_drawn_spread_at_most() -> None:
    assert 0.19 < draw(noise=0.2)["noise"].max() <= 0.2
    augment = Augment(AugmentConfig(noise=0.1), ImageShape(64, 64, 1, 2), CPU)
    augment.begin(0)
    spread = augment.vary(torch.full((32, 1, 64, 64), 0.5)).std(dim=(1, 2, 3))
    assert spread.max() < 0.105
    assert spread.max() > 0.08
    assert spread.min() < 0.03


def test_strength_gives_each_image_two_operations_at_its_share_of_their_greatest() -> None:
    values = draw(strength=0.5, count=2000, shape=(10, 10, 3))
    touched = torch.stack(
        [
            values["rotation"] != 0,
            (values["shear"] != 0).any(1),
            (values["shift"] != 0).any(1),
            *(values[key] != 1 for key in ("scale", "exposure", "contrast", "saturation")),
            values["hue"] != 0,
            values["noise"] != 0,
        ]
    ).sum(0)

    assert touched.max() == 2  # one of them may be erasing, with probability 0.5
    assert touched.min() == 1
    assert len(values) == 10
    assert 14.5 < values["rotation"].abs().max() <= 15
    assert (values["erasing"][:, 2] > 0).float().mean() == pytest.approx(0.2 * 0.5, abs=0.02)


def test_strength_leaves_colours_out_where_there_are_none_and_the_own_range_of_a_key_stays_the_least() -> None:
    values = draw(strength=0.5, rotation=5.0, shape=(10, 10, 1))
    assert not {"hue", "saturation"} & set(values)
    assert (values["rotation"] != 0).all()
    assert (values["rotation"].abs() <= 5).float().mean() > 0.7
    assert values["rotation"].abs().max() > 10
