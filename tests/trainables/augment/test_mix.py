"""Images blended and pasted: pixels, labels and shares say the same."""

from __future__ import annotations

import pytest
import torch

from tests.trainables.training.tiny_trials import CPU
from trainables.augment.mix import Mixed, beta_quantiles, draw_rectangles, mix_pixels
from trainables.augment.pipeline import Augment
from trainables.config.augment import AugmentConfig
from trainables.data.image_shape import ImageShape

COUNT = 32


def mix(mixup: float = 0.0, cutmix: float = 0.0) -> Mixed:
    """32 images of 8 x 6, image k of one level, k / 32, its label k."""
    augment = Augment(AugmentConfig(mixup=mixup, cutmix=cutmix), ImageShape(8, 6, 1, COUNT), CPU)
    augment.begin(4)
    levels = torch.arange(COUNT) / COUNT
    return augment.mix(levels[:, None, None, None].expand(COUNT, 1, 8, 6).clone(), torch.arange(COUNT))


def test_a_blend_has_both_images_by_their_shares() -> None:
    pixels = torch.tensor([[[[1.0]]], [[[0.2]]]])
    values = {"share": torch.tensor([0.75, 0.5])}
    assert mix_pixels(pixels, torch.tensor([1, 0]), values).flatten().tolist() == pytest.approx([0.8, 0.6])


def test_mixup_blends_each_image_by_its_own_share_with_the_one_whose_label_it_names() -> None:
    mixed = mix(mixup=1.0)
    own = torch.arange(COUNT)

    expected = (mixed.share * own + (1 - mixed.share) * mixed.others) / COUNT
    assert torch.allclose(mixed.images, expected[:, None, None, None].expand_as(mixed.images), atol=1e-6)
    assert sorted(mixed.others.tolist()) == own.tolist()
    assert mixed.others.tolist() != own.tolist()
    assert len(set(mixed.share.tolist())) > COUNT / 2
    assert 0 <= mixed.share.min() < 0.3
    assert 0.7 < mixed.share.max() <= 1


def test_the_share_of_cutmix_is_the_area_that_stays() -> None:
    mixed = mix(cutmix=1.0)
    own = torch.arange(COUNT)

    stays = (mixed.images[:, 0] * COUNT).round() == own[:, None, None]
    pasted = (mixed.images[:, 0] * COUNT).round() == mixed.others[:, None, None]
    assert (stays | pasted).all()
    met = mixed.others != own
    assert torch.allclose(stays.float().mean((1, 2))[met], mixed.share[met])
    assert len(set(mixed.share.tolist())) > COUNT / 4


def test_both_together_take_turns_from_image_to_image() -> None:
    levels = [len(set(image.flatten().tolist())) for image in mix(mixup=1.0, cutmix=1.0).images]
    assert levels.count(1) > COUNT / 5  # blended ones are of one level
    assert levels.count(2) > COUNT / 5


@pytest.mark.parametrize(
    ("stay", "middle", "expected"),
    [
        (0.75, [0.5, 0.5], [2, 2, 4, 4]),  # a quarter of 8 x 8 about the middle
        (0.75, [0.0, 0.0], [0, 0, 2, 2]),  # cut off at the corner
        (1.0, [0.5, 0.5], [4, 4, 0, 0]),
        (0.0, [0.5, 0.5], [0, 0, 8, 8]),
    ],
)
def test_a_rectangle_has_the_proportions_of_the_image_and_ends_at_its_edge(
    stay: float, middle: list[float], expected: list[int]
) -> None:
    drawn = draw_rectangles(torch.tensor([stay]), torch.tensor([middle]), ImageShape(8, 8, 1, 2))
    assert drawn.tolist() == [expected]


def test_shares_follow_the_beta_distribution_of_the_key() -> None:
    for alpha in (0.2, 1.0, 4.0):
        table = beta_quantiles(alpha, CPU)
        assert float(table.mean()) == pytest.approx(0.5, abs=1e-3)
        assert float(table.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=1e-3)  # of Beta(a, a)
