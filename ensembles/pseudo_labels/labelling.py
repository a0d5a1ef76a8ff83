"""The figures of a labelling: images by class, mean confidence, and accuracy where the true class is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.pseudo_labels.agreement import Agreement

THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Confidences for which the report shows what would have been labelled, beside the configured one."""


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
    """Images that were labelled as one class."""

    name: str
    count: LabelCount
    confidence: float | None
    """Mean confidence; None if nothing was labelled as this class."""


@dataclass(frozen=True)
class Labelling:
    """The figures of one labelling."""

    confidence: float
    """The configured confidence; `agreement` is configured, too."""
    agreement: int
    found: int
    """Unlabelled images before any were left out."""
    held_out: int
    """Images left out because they are among the validation or test images."""
    trained: int
    """Images left out because they are among the training images."""
    twice: int
    """Images left out because they are equal to one that is kept."""
    asked: LabelCount
    """Counts over all images that the team voted on, as if it had labelled them all."""
    kept: LabelCount
    """Counts over the images that it labels, by confidence and agreement."""
    classes: tuple[ClassLabels, ...]
    thresholds: tuple[tuple[float, LabelCount], ...]
    """What other confidences would have labelled, at the same agreement."""

    @property
    def left_out(self) -> int:
        """Images that the team did not vote on."""
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
    """The figures of `found`; `true_class` int64 (images,) is negative where it is not known.

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
