"""A cascade: members predict one after the other, until those that have predicted agree and are confident enough.

After Viola and Jones (2001) and Wang et al. (2022, "Wisdom of Committees"): cheap members come first, easy images exit early. The
order and the threshold are fitted on validation, when a bundle is exported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.calibration.calibrate import Calibrator, fit_calibration, read_calibrator
from ensembles.config import Calibration

TOLERANCE = 0.001
"""How far the cascade's accuracy on validation may lie below the whole team's: 0.1 points."""

NEVER = 1.0
"""A threshold that no confidence exceeds: every member always predicts."""

Shares = npt.NDArray[np.float64]
"""Probabilities (images, classes)."""
Ask = Callable[[int, npt.NDArray[np.int64]], npt.NDArray[np.float32]]
"""Predictions of the member at a position on the images at some rows: float32 (rows, classes)."""
WholeVote = Callable[[npt.NDArray[np.float32]], tuple[Shares, npt.NDArray[np.int64]]]
"""Calibrated probabilities and classes of the whole team, from float32 (members, rows, classes)."""


@dataclass(frozen=True, eq=False)
class Cascade:
    """The order in which members predict, and when to stop.

    order        positions of all members of the team
    weights      weights of all members, in the team's order; the members asked so far are averaged by them
    calibrators  one for each stage but the last, for the average of the members asked by then; at the last the team votes
    threshold    calibrated confidence above which agreeing members are enough; `NEVER`: they never are
    """

    order: tuple[int, ...]
    weights: tuple[float, ...]
    calibrators: tuple[Calibrator, ...]
    threshold: float

    def __post_init__(self) -> None:
        count = len(self.weights)
        if sorted(self.order) != list(range(count)) or len(self.calibrators) != count - 1:
            raise ValueError(
                f"a cascade of {count} members has order {self.order}, {len(self.calibrators)} calibrators"
            )

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `read_cascade` is the inverse."""
        return {
            "order": list(self.order),
            "weights": list(self.weights),
            "calibrators": [one.to_dict() for one in self.calibrators],
            "threshold": self.threshold,
        }


def read_cascade(payload: dict[str, Any]) -> Cascade:
    """The inverse of `Cascade.to_dict`. Raises `ValueError`, `KeyError` or `TypeError` if `payload` is no cascade."""
    return Cascade(
        tuple(int(position) for position in payload["order"]),
        tuple(float(weight) for weight in payload["weights"]),
        tuple(read_calibrator(one) for one in payload["calibrators"]),
        float(payload["threshold"]),
    )


@dataclass(frozen=True, eq=False)
class Answers:
    """A cascade's predictions on some images.

    probabilities   float64 (images, classes), calibrated
    predicted       int64 (images,), predicted classes
    agreement       float64 (images,), share of the members asked whose own class is the predicted one
    asked           int64 (images,), number of members asked
    """

    probabilities: Shares
    predicted: npt.NDArray[np.int64]
    agreement: npt.NDArray[np.float64]
    asked: npt.NDArray[np.int64]


def ask_in_turn(cascade: Cascade, ask: Ask, images: int, classes: int, whole: WholeVote) -> Answers:
    """The answers of a cascade; each member predicts once, on all images that are undecided by then."""
    members = len(cascade.order)
    answers = Answers(
        np.empty((images, classes)), np.empty(images, np.int64), np.empty(images), np.empty(images, np.int64)
    )
    rows = np.arange(images)
    heard = np.empty((members, images, classes), np.float32)  # of the undecided, in the team's order
    for stage, position in enumerate(cascade.order):
        heard[position] = ask(position, rows)
        so_far = list(cascade.order[: stage + 1])
        if stage < members - 1:
            shares, agree = _stage(cascade, heard, so_far)
            predicted = shares.argmax(1)
            done = agree & (shares.max(1) > cascade.threshold)
        else:
            shares, predicted = whole(heard)
            done = np.ones(len(rows), bool)
        at = rows[done]
        answers.probabilities[at], answers.predicted[at] = shares[done], predicted[done]
        answers.asked[at] = stage + 1
        answers.agreement[at] = (heard[so_far][:, done].argmax(2) == predicted[done]).mean(0)
        rows, heard = rows[~done], heard[:, ~done]
        if not len(rows):
            break
    return answers


def _stage(
    cascade: Cascade, heard: npt.NDArray[np.float32], asked: Sequence[int]
) -> tuple[Shares, npt.NDArray[np.bool_]]:
    """Calibrated probabilities of the members asked, and on which images all of them predict the same class."""
    mean = average(heard, asked, cascade.weights)
    named = heard[list(asked)].argmax(2)
    return cascade.calibrators[len(asked) - 1].apply(mean), (named == named[0]).all(0)


def average(heard: npt.NDArray[np.float32], asked: Sequence[int], weights: Sequence[float]) -> Shares:
    """Mean of the members `asked` by their weights: float32 (members, images, classes) to float64 (images, classes)."""
    total = np.zeros(heard.shape[1:])
    for position in asked:
        total += weights[position] * heard[position].astype(np.float64)
    mean: Shares = total / sum(weights[position] for position in asked)
    return mean


def fit_cascade(
    heard: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    weights: Sequence[float],
    costs: Sequence[float],
    kind: Calibration,
    whole: tuple[Shares, npt.NDArray[np.int64]],
    keys: Mapping[str, Any] | None = None,
) -> Cascade:
    """The cascade with the least cost on validation among those whose accuracy is within `TOLERANCE` of the whole vote's.

    heard    float32 (members, images, classes), the team's predictions on validation
    costs    cost of each member, in any unit; equal if they are not known
    whole    calibrated probabilities and classes of the whole vote on validation
    keys     keys of a custom calibration

    All orders of `orders` are tried; of equals the first wins. For each order the threshold is lowered from `NEVER` until the
    accuracy first falls short: a lower threshold that reaches it again would do so by chance.
    """
    fits = (
        _fit_order(heard, labels, weights, costs, kind, whole, order, keys)
        for order in orders(heard, labels, weights, costs)
    )
    return min(fits, key=lambda fit: fit[1])[0]


def orders(
    heard: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], weights: Sequence[float], costs: Sequence[float]
) -> list[tuple[int, ...]]:
    """Orders to try: by accuracy, by weight, by either per cost, and cheapest first; of equals by position."""
    right = (heard.argmax(2) == labels).mean(1)
    merits = [right, np.array(weights), right / np.array(costs), np.array(weights) / np.array(costs), -np.array(costs)]
    found = [tuple(int(position) for position in np.argsort(-merit, kind="stable")) for merit in merits]
    return list(dict.fromkeys(found))


def _fit_order(
    heard: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    weights: Sequence[float],
    costs: Sequence[float],
    kind: Calibration,
    whole: tuple[Shares, npt.NDArray[np.int64]],
    order: tuple[int, ...],
    keys: Mapping[str, Any] | None,
) -> tuple[Cascade, float]:
    """The best threshold of one order, and its mean cost an image."""
    stages = len(order) - 1
    calibrators = tuple(
        fit_calibration(kind, average(heard, order[:stage], weights), labels, keys) for stage in range(1, len(order))
    )
    never = Cascade(order, tuple(weights), calibrators, NEVER)
    staged = [_stage(never, heard, order[: stage + 1]) for stage in range(stages)]
    # Where members do not agree, no threshold is passed.
    sure = np.array([np.where(agree, shares.max(1), -1.0) for shares, agree in staged]).reshape(stages, len(labels))
    right = np.array([*(shares.argmax(1) == labels for shares, _ in staged), whole[1] == labels])
    spent = np.cumsum([costs[position] for position in order])
    required = right[-1].mean() - TOLERANCE
    best, least = NEVER, float(spent[-1])
    for threshold in _thresholds(heard.shape[2]):
        passed = sure > threshold
        stage = np.where(passed.any(0), passed.argmax(0), stages) if stages else np.zeros(len(labels), int)
        if right[stage, np.arange(len(labels))].mean() < required - 1e-12:
            break
        cost = float(spent[stage].mean())
        if cost < least:
            best, least = threshold, cost
    return Cascade(order, tuple(weights), calibrators, best), least


def _thresholds(classes: int) -> Iterator[float]:
    """200 confidences from nearly 1 down to that of guessing, closest together at the top, where most images are."""
    for doubt in np.geomspace(1e-6, 1 - 1 / classes, 200):
        yield float(1 - doubt)
