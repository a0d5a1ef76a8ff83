"""The votes in torch are those in numpy, on pools with ties, one-hot and uniform rows as well."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ensembles.config import VoteMethod
from ensembles.pool.pool import PredictionPool
from ensembles.voting.vote import VOTES, fit_voter
from tests.ensembles.samples import make_pool, make_team
from trainables.data.image_shape import ImageShape
from trainables.export.program import read_program, write_program
from trainables.export.team_vote import TeamVote


def draw_pool(seed: int, members: int, images: int, classes: int) -> PredictionPool:
    """Random rows, and among them one-hot, uniform and coarse ones, which tie."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(classes, 0.5), (members, images))
    kind = rng.integers(0, 5, (members, images))
    shares[kind == 0] = np.eye(classes)[rng.integers(0, classes, int((kind == 0).sum()))]
    shares[kind == 1] = 1 / classes
    coarse = np.round(shares * 4) + 1
    shares = np.where((kind == 2)[..., None], coarse / coarse.sum(2, keepdims=True), shares)
    return make_pool(shares, rng.integers(0, classes, images))


@pytest.mark.parametrize("method", VOTES)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    members=st.integers(1, 6),
    images=st.integers(1, 30),
    classes=st.integers(2, 12),
)
def test_a_vote_in_torch_is_that_in_numpy(
    method: VoteMethod, seed: int, members: int, images: int, classes: int
) -> None:
    pool = draw_pool(seed, members, images, classes)
    weights = np.random.default_rng(seed).dirichlet(np.full(members, 2.0)).clip(1e-6)
    voter = fit_voter(pool, make_team(*(weights / weights.sum())), method)
    said = TeamVote(voter.combine)(torch.from_numpy(pool.probabilities))
    assert said.dtype == torch.float64
    ballot = voter.vote(pool)
    assert np.abs(said.numpy() - ballot.probabilities).max() < 1e-6
    lead = (
        ballot.probabilities[np.arange(images), ballot.predicted]
        - ballot.probabilities[np.arange(images), said.argmax(1)]
    )
    assert np.all((said.argmax(1).numpy() == ballot.predicted) | (lead < 1e-14))  # equal but for rounding


@pytest.mark.parametrize("method", VOTES)
def test_the_likeliest_class_of_a_vote_in_torch_is_the_one_that_is_scored(method: VoteMethod) -> None:
    """Four members that err independently tie often: by count alone a program named another class on 448 of 2,000 images."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 2000)
    logits = rng.normal(0, 1.5, (4, 2000, 10)) + 2 * np.eye(10)[labels]
    shares = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    pool = make_pool(shares, labels)
    voter = fit_voter(pool, make_team(*(1 / 4,) * 4), method)
    said = TeamVote(voter.combine)(torch.from_numpy(pool.probabilities)).argmax(1).numpy()
    assert np.array_equal(said, voter.vote(pool).predicted)


class FromPixels(nn.Module):
    """Pixels (images, members, classes, 1) taken for probabilities: a vote alone as a program."""

    def __init__(self, vote: nn.Module) -> None:
        super().__init__()
        self.vote = vote

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = images.float().squeeze(3) + 1
        return self.vote((scores / scores.sum(2, keepdim=True)).permute(1, 0, 2))


@pytest.mark.parametrize("method", VOTES)
def test_every_vote_can_be_a_program(method: VoteMethod) -> None:
    pool = draw_pool(0, 3, 20, 4)
    net = FromPixels(TeamVote(fit_voter(pool, make_team(0.5, 0.25, 0.25), method).combine))
    program = read_program(write_program(net, ImageShape(3, 4, 1, 4)))
    images = torch.randint(0, 4, (9, 3, 4, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(program(images), net(images), atol=1e-9)
