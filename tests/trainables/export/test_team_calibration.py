"""The calibrations in torch are those in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ensembles.calibration.calibrate import fit_calibration, read_calibrator
from ensembles.config import Calibration
from trainables.data.image_shape import ImageShape
from trainables.export.program import read_program, write_program
from trainables.export.team_calibration import build_calibration
from trainables.plugins.kinds import CALIBRATION

KINDS: tuple[Calibration, ...] = CALIBRATION.names


def draw(seed: int, images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that lean to their labels, some one-hot and some uniform; the last class may have no image."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(1, classes - int(rng.integers(0, 2))), images)
    shares = rng.dirichlet(np.full(classes, 0.4), images) + 0.7 * np.eye(classes)[labels]
    kind = rng.integers(0, 6, images)
    shares[kind == 0] = np.eye(classes)[rng.integers(0, classes, int((kind == 0).sum()))]
    shares[kind == 1] = 1
    return shares / shares.sum(1, keepdims=True), labels


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), images=st.integers(1, 80), classes=st.integers(2, 8))
def test_a_calibration_in_torch_is_that_in_numpy(kind: Calibration, seed: int, images: int, classes: int) -> None:
    calibrator = fit_calibration(kind, *draw(seed, images, classes))
    fresh, _ = draw(seed + 1, 50, classes)
    said = build_calibration(calibrator.to_dict())(torch.from_numpy(fresh))
    assert np.abs(said.numpy() - calibrator.apply(fresh)).max() < 1e-6


class FromPixels(nn.Module):
    """Pixels (images, 1, classes, 1) taken for probabilities: a calibration alone as a program."""

    def __init__(self, calibration: nn.Module) -> None:
        super().__init__()
        self.calibration = calibration

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = images.double().reshape(-1, 4) + 1
        return self.calibration(scores / scores.sum(1, keepdim=True))


@pytest.mark.parametrize("kind", KINDS)
def test_every_calibration_can_be_a_program(kind: Calibration) -> None:
    net = FromPixels(build_calibration(fit_calibration(kind, *draw(0, 60, 4)).to_dict()))
    program = read_program(write_program(net, ImageShape(1, 4, 1, 4)))
    images = torch.randint(0, 9, (9, 1, 4, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(program(images), net(images), atol=1e-9)


def test_a_curve_of_one_knot_is_flat_and_a_class_without_a_curve_keeps_its_share() -> None:
    parameters = {"kind": "isotonic", "curves": [[[0.5], [0.25]], None]}
    given = np.array([[0.2, 0.8], [0.9, 0.1]])
    said = build_calibration(parameters)(torch.from_numpy(given)).numpy()
    assert np.allclose(said, [[0.25 / 1.05, 0.8 / 1.05], [0.25 / 0.35, 0.1 / 0.35]], atol=1e-8)
    assert np.allclose(said, read_calibrator(parameters).apply(given), atol=1e-12)


def test_an_unknown_calibration_is_refused() -> None:
    with pytest.raises(ValueError, match="'magic' is not known"):
        build_calibration({"kind": "magic"})
