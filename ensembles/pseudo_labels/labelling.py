"""What a labelling came to, as figures: how many images, of which class, how sure, and how right where truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.pseudo_labels.agreement import Agreement

THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Confidences for which the report says what would have been labelled, beside the one that was asked for."""


@dataclass(frozen=True)
class LabelCount:
    """Labelled images, and of those whose true class is known, how many are labelled rightly."""

    labelled: int
    known: int
    right: int

    @property
    def accuracy(self) -> float | None:
        """Share of the known ones that are right; None where nothing is known."""
        return self.right / self.known if self.known else None


@dataclass(frozen=True)
class ClassLabels:
    """What was labelled as one class."""

    name: str
    count: LabelCount
    confidence: float | None
    """Mean; None where nothing was labelled so."""


@dataclass(frozen=True)
class Labelling:
    """The figures of one labelling."""

    confidence: float
    """That was asked for, as `agreement` was."""
    agreement: int
    found: int
    """Images that there were to be labelled, with those that were left out:"""
    held_out: int
    """among the images that steer the search or judge it,"""
    trained: int
    """among those that are trained on,"""
    twice: int
    """or equal to one that is kept."""
    asked: LabelCount
    """All images that the team was asked about, as if it had labelled them all."""
    kept: LabelCount
    """Those on which it agrees."""
    classes: tuple[ClassLabels, ...]
    thresholds: tuple[tuple[float, LabelCount], ...]
    """What other confidences would have labelled, at the same agreement."""

    @property
    def left_out(self) -> int:
        """Images that the team was never asked about."""
        return self.found - self.asked.labelled

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        payload = asdict(self)
        payload["classes"] = list(payload["classes"])
        payload["thresholds"] = [list(pair) for pair in payload["thresholds"]]
        return payload


def count_labels(
    found: Agreement,
    true_class: npt.NDArray[np.int64],
    class_names: Sequence[str],
    confidence: float,
    agreement: int,
    left_out: Mapping[str, int],
) -> Labelling:
    """The figures of `found`; `true_class` int64 (images,) is negative where nobody knows.

    `left_out` has `found`, `held_out`, `trained` and `twice`.
    """

    def count(selected: npt.NDArray[np.bool_]) -> LabelCount:
        known = selected & (true_class >= 0)
        return LabelCount(
            int(np.count_nonzero(selected)),
            int(np.count_nonzero(known)),
            int(np.count_nonzero(known & (found.labels == true_class))),
        )

    classes = []
    for label, name in enumerate(class_names):
        mine = found.labelled & (found.labels == label)
        mean = round(float(found.confidence[mine].mean(dtype=np.float64)), 6) if mine.any() else None
        classes.append(ClassLabels(name, count(mine), mean))
    enough = found.agreeing >= agreement
    steps = sorted({*THRESHOLDS, confidence})
    return Labelling(
        confidence=confidence,
        agreement=agreement,
        asked=count(np.ones(len(true_class), bool)),
        kept=count(found.labelled),
        classes=tuple(classes),
        thresholds=tuple((step, count(enough & (found.confidence >= np.float32(step)))) for step in steps),
        **left_out,
    )


def read_labelling(payload: Mapping[str, Any]) -> Labelling:
    """The inverse of `Labelling.to_dict`."""
    return Labelling(
        **{
            **payload,
            "asked": LabelCount(**payload["asked"]),
            "kept": LabelCount(**payload["kept"]),
            "classes": tuple(
                ClassLabels(one["name"], LabelCount(**one["count"]), one["confidence"]) for one in payload["classes"]
            ),
            "thresholds": tuple((step, LabelCount(**count)) for step, count in payload["thresholds"]),
        }
    )
