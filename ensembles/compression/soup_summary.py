"""The summary of a soup: one net from several checkpoints, beside the best of them and beside their vote."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.metrics.intervals import Groups, accuracy_interval, mcnemar_p
from ensembles.metrics.scores import accuracy, log_loss
from trainables.errors import DamagedObject, ObjectMissing
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json

Probabilities = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class SoupScore:
    """Scores of one predictor. Accuracies are shares of 1, losses mean cross-entropy in nats."""

    name: str
    validation_accuracy: float
    validation_loss: float
    test_accuracy: float
    test_ci95: tuple[float, float]
    """Wilson's interval."""
    test_loss: float


@dataclass(frozen=True)
class SoupSummary:
    """The results of one soup.

    candidates     checkpoints that were tried, the best on validation first
    ingredients    checkpoints that were averaged
    best           the trial's best single epoch on validation
    vote           the mean of the probabilities of the ingredients, which costs as much as all of them
    gained, lost   test images on which the soup is right and the best single wrong, and the other way round
    p              exact p of McNemar's test that both are right equally often
    """

    run: str
    trial_id: str
    kind: str
    metric: str
    """Metric that greedy optimised on validation."""
    candidates: tuple[str, ...]
    ingredients: tuple[str, ...]
    test_images: int
    best: SoupScore
    soup: SoupScore
    vote: SoupScore
    gained: int
    lost: int
    p: float

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        gain = 100 * (self.soup.test_accuracy - self.best.test_accuracy)
        caveat = "" if self.p < 0.05 else ", which these images cannot tell from none"
        vote = 100 * (self.vote.test_accuracy - self.soup.test_accuracy)
        return (
            f"The {self.kind} soup of {len(self.ingredients)} of {len(self.candidates)} epochs of {self.trial_id} is right on "
            f"{self.soup.test_accuracy:.2%} of {self.test_images:,} test images, {gain:+.2f} points to its best single epoch "
            f"(McNemar p {self.p:.2g}{caveat}); the vote of the same epochs, at {len(self.ingredients)} times the cost, "
            f"{self.vote.test_accuracy:.2%} ({vote:+.2f} points to the soup)."
        )


def score(
    name: str,
    validation: Probabilities,
    validation_labels: npt.NDArray[np.int64],
    test: Probabilities,
    test_labels: npt.NDArray[np.int64],
    test_groups: Groups = None,
) -> SoupScore:
    """Scores from probabilities (images, classes) and labels int64 (images,) of both splits; `test_groups` widen the interval."""
    return SoupScore(
        name=name,
        validation_accuracy=accuracy(validation.argmax(1), validation_labels),
        validation_loss=log_loss(validation, validation_labels),
        test_accuracy=accuracy(test.argmax(1), test_labels),
        test_ci95=accuracy_interval(test.argmax(1) == test_labels, test_groups),
        test_loss=log_loss(test, test_labels),
    )


def compare(
    soup: Probabilities, best: Probabilities, labels: npt.NDArray[np.int64], groups: Groups = None
) -> tuple[int, int, float]:
    """Images gained and lost by the soup, and p of McNemar's test, from probabilities (images, classes) on test.

    With `groups` the test counts whole groups.
    """
    right, before = soup.argmax(1) == labels, best.argmax(1) == labels
    gained, lost = int(np.count_nonzero(right & ~before)), int(np.count_nonzero(before & ~right))
    return gained, lost, mcnemar_p(right, before, groups)


def to_json(summary: SoupSummary) -> dict[str, Any]:
    """The summary as a JSON object, with its sentence."""
    return asdict(summary) | {"sentence": summary.sentence}


def from_json(payload: dict[str, Any]) -> SoupSummary:
    """The inverse of `to_json`. Raises `DamagedObject`."""
    try:
        values = {key: value for key, value in payload.items() if key != "sentence"}
        for key in ("best", "soup", "vote"):
            low, high = payload[key]["test_ci95"]
            values[key] = SoupScore(**payload[key] | {"test_ci95": (float(low), float(high))})
        for key in ("candidates", "ingredients"):
            values[key] = tuple(map(str, payload[key]))
        return SoupSummary(**values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedObject(
            f"the summary of a soup is not readable ({type(error).__name__}: {error}): delete it and run `caucus soup` again"
        ) from None


def read_soups(store: Store, name: str, run: str) -> tuple[SoupSummary, ...]:
    """All soups of a run, by key. Unreadable ones are left out: a report must not fail because of them."""
    summaries = []
    for found in store.find(layout.soup_summaries_prefix(name, run)):
        try:
            summaries.append(from_json(get_json(store, found.key)))
        except (DamagedObject, ObjectMissing):
            continue
    return tuple(summaries)
