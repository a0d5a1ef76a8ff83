"""Accuracy against sparsity of one checkpoint: the points, the sparsest within noise, and its accuracy on test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.metrics.intervals import BOOTSTRAP_SEED, Groups, accuracy_interval, mcnemar_p, paired_bootstrap
from ensembles.metrics.scores import accuracy
from trainables.errors import DamagedObject

NOISE_P = 0.05
"""A loss of accuracy with a smaller p of McNemar's test is no noise. On few images, large losses are noise still."""


@dataclass(frozen=True)
class PrunedPoint:
    """One sparsity. Accuracies and losses are of validation, sizes as in `PrunedSize`."""

    name: str
    """Name of the pruned checkpoint; at the beginning of a curve, of the unpruned one."""
    sparsity: float
    """Share of the weights, or of each layer's channels, that were removed."""
    before_accuracy: float
    """Accuracy before fine-tuning."""
    accuracy: float
    """Accuracy after fine-tuning."""
    loss: float
    gained: int
    """Validation images on which it is right and the unpruned checkpoint wrong."""
    lost: int
    """Validation images on which it is wrong and the unpruned checkpoint right."""
    p: float
    """Exact p of McNemar's test that both are right equally often."""
    weights: int
    nonzero: int
    size_bytes: int
    compressed_bytes: int
    flops: int
    nonzero_flops: int

    @property
    def within_noise(self) -> bool:
        """Whether it loses no accuracy, or no more than the noise of the validation set."""
        return self.lost <= self.gained or self.p >= NOISE_P


@dataclass(frozen=True)
class PrunedTest:
    """The chosen point beside the unpruned checkpoint on test. Accuracies are shares of 1."""

    images: int
    unpruned: float
    unpruned_ci95: tuple[float, float]
    """Wilson's interval."""
    pruned: float
    pruned_ci95: tuple[float, float]
    difference: float
    difference_ci95: tuple[float, float]
    """Interval of the difference, by paired bootstrap."""
    p: float


@dataclass(frozen=True)
class PrunedCurve:
    """The results of pruning one checkpoint by one method."""

    run: str
    """`<name>/<run>`."""
    trial_id: str
    epoch: int
    method: str
    epochs: int
    """Epochs of fine-tuning."""
    rate: float
    """Learning rate of fine-tuning."""
    validation_images: int
    unpruned: PrunedPoint
    """The original checkpoint, without fine-tuning."""
    points: tuple[PrunedPoint, ...]
    """Points by rising sparsity. The first, of sparsity 0, is the unpruned checkpoint fine-tuned as long as the others."""
    failed: tuple[tuple[float, str], ...]
    """Sparsities that could not be measured, with the reason."""
    test: PrunedTest | None
    """Scores on test of the chosen point; None if no sparsity was chosen."""

    @property
    def chosen(self) -> PrunedPoint | None:
        """The highest sparsity that loses no more than noise."""
        return choose(self.points)

    @property
    def sentences(self) -> list[str]:
        """The findings in plain English."""
        return _describe(self)


def choose(points: Sequence[PrunedPoint]) -> PrunedPoint | None:
    """The point of highest sparsity, above 0, that loses no more than noise; None if each loses more."""
    kept = [point for point in points if point.sparsity > 0 and point.within_noise]
    return max(kept, key=lambda point: point.sparsity, default=None)


def place_point(
    name: str,
    sparsity: float,
    measured: dict[str, Any],
    predicted: npt.NDArray[np.int64],
    unpruned: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    groups: Groups = None,
) -> PrunedPoint:
    """A point from its `measured` fields and from predicted classes on validation, all int64 (images,).

    `groups` are those of the images: the test of the loss then counts whole groups.
    """
    right, right_before = predicted == labels, unpruned == labels
    return PrunedPoint(
        name=name,
        sparsity=sparsity,
        gained=int(np.count_nonzero(right & ~right_before)),
        lost=int(np.count_nonzero(right_before & ~right)),
        p=mcnemar_p(right, right_before, groups),
        **measured,
    )


def evaluate_on_test(
    pruned: npt.NDArray[np.int64],
    unpruned: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    groups: Groups = None,
) -> PrunedTest:
    """Scores on test from predicted classes, all int64 (images,), by whole `groups`. Only for the chosen point."""
    right, right_before = pruned == labels, unpruned == labels
    return PrunedTest(
        images=len(labels),
        unpruned=accuracy(unpruned, labels),
        unpruned_ci95=accuracy_interval(right_before, groups),
        pruned=accuracy(pruned, labels),
        pruned_ci95=accuracy_interval(right, groups),
        difference=float(np.mean(right) - np.mean(right_before)),
        difference_ci95=paired_bootstrap(right, right_before, BOOTSTRAP_SEED, groups=groups),
        p=mcnemar_p(right, right_before, groups),
    )


def to_json(curve: PrunedCurve) -> dict[str, Any]:
    """The curve as a JSON object, with what was chosen and the sentences."""
    payload = asdict(curve)
    for point, point_payload in zip(
        (curve.unpruned, *curve.points), (payload["unpruned"], *payload["points"]), strict=True
    ):
        point_payload["within_noise"] = point.within_noise
    return payload | {"chosen": curve.chosen.name if curve.chosen else None, "sentences": curve.sentences}


def from_json(payload: dict[str, Any]) -> PrunedCurve:
    """The inverse of `to_json`. Raises `DamagedObject`."""
    try:
        values = {key: value for key, value in payload.items() if key not in ("chosen", "sentences")}
        values["unpruned"] = _read_point(payload["unpruned"])
        values["points"] = tuple(_read_point(point) for point in payload["points"])
        values["failed"] = tuple((float(sparsity), str(reason)) for sparsity, reason in payload["failed"])
        if payload["test"]:
            ranges = {key: tuple(value) for key, value in payload["test"].items() if key.endswith("ci95")}
            values["test"] = PrunedTest(**payload["test"] | ranges)
        return PrunedCurve(**values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedObject(
            f"a curve of sparsified checkpoints is not readable ({type(error).__name__}: {error}): "
            "delete it and run `caucus sparsify` again"
        ) from None


def _read_point(payload: dict[str, Any]) -> PrunedPoint:
    return PrunedPoint(**{key: value for key, value in payload.items() if key != "within_noise"})


def _describe(curve: PrunedCurve) -> list[str]:
    removed = "of the weights" if curve.method == "magnitude" else "of each layer's channels"
    images = f"{curve.validation_images:,} validation images"
    chosen, unpruned = curve.chosen, curve.unpruned
    if chosen is None:
        sentences = [f"No sparsity that was tried loses less accuracy than the noise of {images} hides."]
    else:
        sentences = [
            f"Without {100 * chosen.sparsity:.4g} % {removed}, the highest sparsity tried whose loss is no more than the noise of "
            f"{images}, it is right on {chosen.accuracy:.2%} of them against {unpruned.accuracy:.2%} (McNemar p {chosen.p:.2g}).",
            f"{chosen.nonzero:,} of {unpruned.weights:,} weights are left; the compressed file shrinks by a factor of "
            f"{_factor(unpruned.compressed_bytes, chosen.compressed_bytes)}, the arithmetic of a prediction by "
            f"{_factor(unpruned.flops, chosen.flops)}"
            + (
                f", or by {_factor(unpruned.nonzero_flops, chosen.nonzero_flops)} where zeros are left out."
                if curve.method == "magnitude"
                else "."
            ),
        ]
    control = next((point for point in curve.points if point.sparsity == 0), None)
    if control and curve.epochs:
        more = 100 * (control.accuracy - chosen.accuracy) if chosen else 0.0
        compared = f", {abs(more):.2f} points {'more' if more > 0 else 'less'} than the sparsified one" if more else ""
        sentences.append(
            f"Trained on as long without sparsifying, the checkpoint comes to {control.accuracy:.2%}{compared}."
        )
    if curve.test:
        sentences.append(_describe_test(curve.test))
    return sentences


def _describe_test(test: PrunedTest) -> str:
    low, high = (100 * end for end in test.difference_ci95)
    right = (
        f"{test.pruned:.2%} of {test.images:,} test images against {test.unpruned:.2%}: {100 * test.difference:+.2f} points "
        f"(95 % interval {low:+.2f} to {high:+.2f}). No other point of this curve was scored there."
    )
    if high < 0:
        return f"Test shows the loss that validation was too small to show: it is right on {right}"
    return f"On test it is right on {right}"


def _factor(before: int, after: int) -> str:
    return f"{before / max(after, 1):.1f}"
