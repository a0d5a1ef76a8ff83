"""What predictions show about a team beside its scores: gains and losses by class, correlated errors, and calibration.

Test is scored here after every choice is made; nothing in here decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.calibration.reliability import Bin
from ensembles.evaluation.by_source import SourceScore
from ensembles.evaluation.suspected_labels import SuspectedLabel


@dataclass(frozen=True)
class ClassChange:
    """One class on test: the team's vote beside the best single checkpoint. Counts of images."""

    name: str
    images: int
    best_right: int
    team_right: int
    fixed: int
    """Right by the team, wrong by the best single."""
    broken: int
    """The other way round."""


@dataclass(frozen=True)
class ImageCase:
    """One test image that is worth inspecting."""

    image_id: str
    label: str
    team: str
    """Class that the vote predicts."""
    confidence: float
    """Calibrated confidence of the vote."""
    best: str
    """Class that the best single checkpoint predicts."""
    members_right: int


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence on one team. Members are in the team's order; arrays over pairs of members are symmetric.

    left_out_cost       float64 (members,), how much worse the validation score (in the team's metric) is without each
    solo                float64 (members,), validation score of each alone, in the team's metric
    disagreement        float64 (members, members), share of test images on which two predict different classes
    error_correlation   float64 (members, members), Pearson's, of being wrong on test; 1 where one is never or always wrong
    confusion_change    int64 (classes, classes), test images by true and predicted class: the team's less the best single's
    """

    left_out_cost: npt.NDArray[np.float64]
    solo: npt.NDArray[np.float64]
    disagreement: npt.NDArray[np.float64]
    error_correlation: npt.NDArray[np.float64]
    confusion_change: npt.NDArray[np.int64]
    classes: tuple[ClassChange, ...]
    any_correct: float
    """Share of test images that at least one member has right: an upper bound for any choice among the members' answers."""
    reliability_before: tuple[Bin, ...]
    """Reliability of the vote on test before calibration."""
    reliability_after: tuple[Bin, ...]
    """Reliability of the vote on test after calibration."""
    risk_coverage: tuple[tuple[float, float], ...]
    """Share of test images answered, most confident first, and the share of these that is wrong; at most 101 points."""
    fixed: tuple[ImageCase, ...]
    """Images that only the team has right, most confident first."""
    broken: tuple[ImageCase, ...]
    """Images that only the best single checkpoint has right, most confident first."""
    missed: tuple[ImageCase, ...]
    """Test images that no member has right, most confident first: suspected label errors."""
    sources: tuple[SourceScore, ...] = ()
    """Scores by source; empty where images have none, or all the same."""
    suspects: tuple[SuspectedLabel, ...] = ()
    """Validation and test images whose label the team contradicts with confidence, the likeliest errors first."""
