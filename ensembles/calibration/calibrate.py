"""Calibrates a vote's probabilities on validation, after averaging (Rahaman and Thiery 2020).

An average of members is flatter than its members, so that calibrating the members would leave it underconfident.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, assert_never

import numpy as np
import numpy.typing as npt

from ensembles.calibration.isotonic import Isotonic, fit_isotonic
from ensembles.calibration.rows import change_whole
from ensembles.calibration.temperature import Temperature, fit_temperature
from ensembles.calibration.vector import VectorScale, fit_vector
from ensembles.config import Calibration, VoteMethod
from ensembles.pool.pool import PredictionPool
from ensembles.team import Team
from ensembles.voting.vote import Ballot, fit_voter
from trainables.errors import DamagedObject, MismatchedPredictions


class Calibrator(Protocol):
    """From a vote's probabilities to calibrated ones; frozen."""

    def apply(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Float64 (images, classes), rows adding up to one; a row with a NaN stays as it is.

        Raises `MismatchedPredictions` for another number of classes than it was fitted to.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """All fields for JSON, with its `kind`; `read_calibrator` is the inverse."""
        ...


@dataclass(frozen=True)
class Uncalibrated:
    """The probabilities as the vote gives them."""

    def apply(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """A copy in float64."""
        return change_whole(probabilities, lambda rows: rows)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"kind": "none"}


def fit_calibration(
    kind: Calibration, probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]
) -> Calibrator:
    """The calibration fitted to a vote's `probabilities` (images, classes) and `labels`, both of validation.

    temperature    one number; never changes the predicted class
    vector         a scale and a bias a class
    isotonic       a rising curve a class: the most parameters, so it needs the most images

    Rows with a NaN are ignored. Classes without images stay as they are.
    """
    match kind:
        case "none":
            return Uncalibrated()
        case "temperature":
            return fit_temperature(probabilities, labels)
        case "vector":
            return fit_vector(probabilities, labels)
        case "isotonic":
            return fit_isotonic(probabilities, labels)
    assert_never(kind)


def read_calibrator(payload: Mapping[str, Any]) -> Calibrator:
    """The inverse of `Calibrator.to_dict`. Raises `DamagedObject`."""
    try:
        match payload["kind"]:
            case "none":
                return Uncalibrated()
            case "temperature":
                return Temperature.read(payload)
            case "vector":
                return VectorScale.read(payload)
            case "isotonic":
                return Isotonic.read(payload)
            case kind:
                raise ValueError(f"{kind!r} is no kind of calibration")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedObject(
            f"the calibration on record is not readable ({type(error).__name__}: {error}): fit and write it again"
        ) from None


def calibrate(ballot: Ballot, calibrator: Calibrator) -> Ballot:
    """The ballot with calibrated probabilities. If these do not change the likeliest class, the predicted class is unchanged,
    too: the tie rule of a hard vote still holds."""
    found = calibrator.apply(ballot.probabilities)
    likeliest = found.argmax(1)
    moved = likeliest != ballot.probabilities.argmax(1)
    return replace(ballot, probabilities=found, predicted=np.where(moved, likeliest, ballot.predicted))


def cross_fit(
    validation: PredictionPool, team: Team, method: VoteMethod, kind: Calibration, folds: int = 5, seed: int = 0
) -> npt.NDArray[np.float64]:
    """The calibrated vote of every validation image by a voter and a calibrator that have not seen it, (images, classes).

    For unbiased figures on validation of a vote that was fitted there; the selection itself has seen all images. Folds have
    every class in equal shares, as nearly as possible; with fewer images than folds, each image is a fold. Raises
    `MismatchedPredictions` for a pool of another split.
    """
    if validation.split != "validation":
        raise MismatchedPredictions(
            f"a vote was to be calibrated on split {validation.split}: it learns from validation, so that test can judge it"
        )
    if folds < 2:
        raise ValueError(f"folds is {folds}: at least 2, or nothing is left to learn from")
    images = len(validation.labels)
    fold_of = split_folds(validation.labels, folds, seed)
    found = np.empty((images, len(validation.class_names)))
    voted = None if method == "stacked" else fit_voter(validation, team, method).vote(validation).probabilities
    for fold in range(folds):
        held = fold_of == fold
        if not held.any():
            continue
        inside = np.flatnonzero(~held)
        source = voted
        if source is None:
            source = fit_voter(validation, team, method, inside).vote(validation).probabilities
        found[held] = fit_calibration(kind, source[inside], validation.labels[inside]).apply(source[held])
    return found


def split_folds(labels: npt.NDArray[np.int64], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each image, int64 (images,) from 0 to `folds` - 1: the images, shuffled and by class, are dealt out."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold_of = np.empty(len(labels), np.int64)
    fold_of[order] = np.arange(len(labels)) % folds
    return fold_of
