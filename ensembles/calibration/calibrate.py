"""Calibrates a vote's probabilities on validation, after averaging (Rahaman and Thiery 2020).

An average of members is flatter than its members, so that calibrating the members would leave it underconfident.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ensembles.calibration.rows import change_whole, whole_rows
from ensembles.config import Calibration, VoteMethod
from ensembles.pool.pool import PredictionPool
from ensembles.team import Team
from ensembles.voting.arrays import check_probabilities
from ensembles.voting.vote import Ballot, fit_voter, is_fitted
from trainables.errors import DamagedObject, MismatchedPredictions, PluginUnusable
from trainables.plugins.call import choose_keys, naming
from trainables.plugins.kind import is_plugin
from trainables.plugins.kinds import CALIBRATION


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
class CustomCalibrator:
    """The calibrator of a plug-in, whose result is checked."""

    kind: Calibration
    fitted: Any

    def apply(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """What the plug-in makes of `probabilities`, in float64; rows with a NaN stay as they are. Raises `PluginUnusable`."""
        return change_whole(probabilities, self._change)

    def to_dict(self) -> dict[str, Any]:
        """What the plug-in has learned, with its name as `kind`."""
        return {**self.fitted.to_dict(), "kind": self.kind}

    def _change(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        where = f"ensemble.calibrate is {self.kind}"
        with naming(where):
            found = np.asarray(self.fitted.apply(probabilities), np.float64)
        checked: npt.NDArray[np.float64] = check_probabilities(where, found, probabilities)
        return checked


def fit_calibration(
    kind: Calibration,
    probabilities: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    keys: Mapping[str, Any] | None = None,
) -> Calibrator:
    """The calibration fitted to a vote's `probabilities` (images, classes) and `labels`, both of validation.

    temperature    one number; never changes the predicted class
    vector         a scale and a bias a class
    isotonic       a rising curve a class: the most parameters, so it needs the most images
    a plug-in      a class with `fit(probabilities, labels, **keys)`, `apply(probabilities)`, `to_dict()` and `read(payload)`

    Rows with a NaN are ignored. Classes without images stay as they are. Raises `PluginUnusable` where a plug-in fails.
    """
    found = CALIBRATION.find(kind)
    if not is_plugin(kind):
        built_in: Calibrator = found.fit(probabilities, labels)
        return built_in
    with naming(f"ensemble.calibrate is {kind}"):
        fitted = found.fit(*whole_rows(probabilities, labels), **choose_keys(found.fit, 2, {}, keys or {}))
    return CustomCalibrator(kind, fitted)


def read_calibrator(payload: Mapping[str, Any]) -> Calibrator:
    """The inverse of `Calibrator.to_dict`. Raises `DamagedObject`, and `PluginUnusable` for a plug-in that may not be imported."""
    try:
        kind = CALIBRATION.check(payload["kind"])
        found = CALIBRATION.find(kind).read(payload)
        return CustomCalibrator(kind, found) if is_plugin(kind) else found
    except PluginUnusable:
        raise
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
    validation: PredictionPool,
    team: Team,
    method: VoteMethod,
    kind: Calibration,
    folds: int = 5,
    seed: int = 0,
    keys: Mapping[str, Any] | None = None,
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
    voted = (
        None if is_fitted(method) else fit_voter(validation, team, method, None, keys).vote(validation).probabilities
    )
    for fold in range(folds):
        held = fold_of == fold
        if not held.any():
            continue
        inside = np.flatnonzero(~held)
        source = voted
        if source is None:
            source = fit_voter(validation, team, method, inside, keys).vote(validation).probabilities
        found[held] = fit_calibration(kind, source[inside], validation.labels[inside], keys).apply(source[held])
    return found


def split_folds(labels: npt.NDArray[np.int64], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each image, int64 (images,) from 0 to `folds` - 1: the images, shuffled and by class, are dealt out."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold_of = np.empty(len(labels), np.int64)
    fold_of[order] = np.arange(len(labels)) % folds
    return fold_of
