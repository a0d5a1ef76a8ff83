"""What the predictions say of a team beside its scores: where it gains and loses, how alike its members err, how sure it may be.

Test is scored here after everything has been chosen; nothing in here decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.calibration.reliability import Bin


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
    """One test image that is worth a look."""

    image_id: str
    label: str
    team: str
    """Class that the vote is for."""
    confidence: float
    """Of the vote, calibrated."""
    best: str
    """Class that the best single checkpoint says."""
    members_right: int


@dataclass(frozen=True, eq=False)
class Evidence:
    """Of one team. Members stand in the order of the choice; arrays over members are symmetric.

    left_out_cost       float64 (members,), how much worse the validation score (in the choice's metric) is without each
    solo                float64 (members,), validation score of each alone, in the choice's metric
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
    """Share of test images that at least one member has right: what no choice among its members' answers can exceed."""
    reliability_before: tuple[Bin, ...]
    """Of the vote on test, as it is."""
    reliability_after: tuple[Bin, ...]
    """After calibration."""
    risk_coverage: tuple[tuple[float, float], ...]
    """Share of test images answered, most confident first, and the share of these that is wrong; at most 101 points."""
    fixed: tuple[ImageCase, ...]
    """Most confident first, as are the other two."""
    broken: tuple[ImageCase, ...]
    missed: tuple[ImageCase, ...]
    """Test images that no member has right: suspected label errors."""
