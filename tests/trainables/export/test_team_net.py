"""A team in memory says what its members stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.data.images import ImageSet, channel_statistics
from trainables.export.team_net import MemberWeights, TeamNet
from trainables.models.normalisation import Normalisation
from trainables.training.training import Training


def train(images: ImageSet, precision: str = "float32", **keys: Any) -> tuple[MemberWeights, np.ndarray]:
    """A member after one epoch, and what it said of the test images then."""
    config = make_config(images.data_id, precision=precision, **keys)
    training = Training(config, place(images))
    training.train_epoch()
    own = training.circumstances().get("normalisation")
    normalised = Normalisation(tuple(own["mean"]), tuple(own["std"])) if own else None
    member = MemberWeights(config, training.weights(), training.precision, normalised)
    return member, training.evaluate("test").probabilities


def make_team(images: ImageSet, *members: MemberWeights, **parts: Any) -> TeamNet:
    mean, std = channel_statistics(images.arrays)
    return TeamNet(members, place(images).shape, mean.tolist(), std.tolist(), **parts)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"average": {"name": "ema"}},
        {"model": {"name": "torchvision/resnet18"}},
        {"model": {"head": "average", "dropout": 0.3}},
        {"data": {"equalise": "clahe", "normalise": "model"}, "model": {"name": "torchvision/squeezenet1_1"}},
    ],
    ids=["plain", "averaged weights", "torchvision", "dropout", "equalised, normalised as pretrained"],
)
def test_a_member_says_what_it_stored_to_the_bit(one_thread: None, precision: str, keys: dict[str, Any]) -> None:
    images = make_images()
    member, stored = train(images, precision, **keys)
    team = make_team(images, member)
    with torch.inference_mode():
        said = team.ask(0, team.prepare(torch.from_numpy(images.pixels[images.rows("test")])))
    assert np.array_equal(said.numpy(), stored)


def test_members_of_different_shape_and_precision_vote_together(one_thread: None) -> None:
    images = make_images(channels=1)
    (first, a), (second, b) = train(images, "bfloat16"), train(images, seed=1, model={"width": 8, "blocks": 1})

    team = make_team(images, first, second, vote=Mean(), calibrate=torch.nn.Identity())
    with torch.inference_mode():
        said = team(torch.from_numpy(images.pixels[images.rows("test")]))
    assert said.dtype == torch.float64
    assert np.allclose(said.numpy(), (a + b) / 2, atol=1e-7)


class Mean(torch.nn.Module):
    def forward(self, answers: torch.Tensor) -> torch.Tensor:
        return answers.double().mean(0)


def test_members_that_see_other_pixels_vote_together(one_thread: None) -> None:
    """Each is normalised by the mean of what it sees; two that see the same are prepared once."""
    images = make_images()
    kinds = ("none", "clahe", "histogram", "clahe")
    trained = [train(images, seed=seed, data={"equalise": kind}) for seed, kind in enumerate(kinds)]
    team = make_team(images, *(member for member, _ in trained), vote=Mean(), calibrate=torch.nn.Identity())
    assert team.preparation_of == (0, 1, 2, 1)
    some = torch.from_numpy(images.pixels[images.rows("test")])
    with torch.inference_mode():
        for at, (_, stored) in enumerate(trained):
            assert np.array_equal(team.ask(at, team.prepare(some, at)).numpy(), stored)
        assert np.allclose(team(some).numpy(), np.mean([stored for _, stored in trained], axis=0), atol=1e-7)


def test_a_team_without_a_vote_has_no_joint_prediction() -> None:
    images = make_images()
    team = make_team(images, train(images)[0])
    with pytest.raises(ValueError, match="ask its members"):
        team(torch.from_numpy(images.pixels[:1]))
