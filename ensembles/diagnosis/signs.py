"""Computes signs from a trial's epochs: the numbers that the rules of a diagnosis use as evidence."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trainables.data.data_table import DataTable
from trainables.results.record import EpochResult, TrialRecord

LAST_SHARE, MOST_LAST = 5, 5
"""The end of a trial is its last fifth, five epochs at most: a single epoch is too noisy."""

FIT_SHARE, SMALLEST_FIT, LARGEST_FIT = 0.04, 32, 2000
"""Training images behind one `fit_accuracy`, as `trainables/training/monitor.py` samples them."""


@dataclass(frozen=True)
class Setting:
    """What a diagnosis needs to know beside the trial itself."""

    classes: int
    train_images: int
    validation_images: int
    best_accuracy: float = 0.0
    """Validation accuracy of the best trial of the run."""
    majority_share: float = 0.0
    """Share of the validation images that are of the most frequent class."""

    @property
    def guessing(self) -> float:
        """Accuracy of naming one class for every image."""
        return max(1 / self.classes, self.majority_share)


def setting_of(table: DataTable) -> Setting:
    """The setting of a run over this data."""
    labels = table.labels_of("validation")
    majority = float(np.bincount(labels).max() / len(labels)) if len(labels) else 0.0
    return Setting(len(table.class_names), len(table.rows("train")), len(labels), majority_share=majority)


@dataclass(frozen=True)
class Signs:
    """Signs of one trial. Shares are of 1, losses in nats; None if the trial's record lacks the number."""

    epochs: int
    fit_accuracy: float
    """Accuracy on training images in evaluation mode, mean of the last epochs; if unknown, as measured during training."""
    validation_accuracy: float
    """Validation accuracy, mean of the last epochs."""
    best_accuracy: float
    """Validation accuracy of the best epoch."""
    gap: float
    """`fit_accuracy` less `validation_accuracy`."""
    gap_noise: float
    """Standard error of the gap, from the numbers of images behind both accuracies."""
    loss_ratio: float
    """Validation loss at the end relative to its lowest."""
    fit_loss: float
    validation_loss: float
    falling: float
    """Share by which the training loss fell from the middle third of the epochs to the last."""
    swing: float
    """Mean change of validation accuracy from epoch to epoch in the second half, relative to its expectation by chance."""
    swing_points: float
    """The same change, as an accuracy."""
    update_ratio: float | None
    """Update-to-weight ratio, median over epochs."""
    dead_share: float | None
    """Share of dead units, mean of the last epochs."""
    surge: float | None
    """Highest loss surge of the second half."""

    def to_dict(self) -> dict[str, float | int | None]:
        """All signs, rounded to four digits."""
        return {
            name: value if value is None or isinstance(value, int) else float(f"{value:.4g}")
            for name, value in self.__dict__.items()
        }


def read_signs(record: TrialRecord, setting: Setting) -> Signs | None:
    """The signs of a trial; None if it has no epoch."""
    epochs = record.epochs
    if not epochs:
        return None
    last = epochs[-max(1, min(MOST_LAST, len(epochs) // LAST_SHARE)) :]
    fit = _mean(last, lambda at: at.train_accuracy if at.fit_accuracy is None else at.fit_accuracy)
    validation = _mean(last, lambda at: at.validation_accuracy)
    sampled = min(max(int(FIT_SHARE * setting.train_images), SMALLEST_FIT), LARGEST_FIT, setting.train_images)
    seen = min(setting.train_images, sampled * len(last))
    noise = math.sqrt(_variance(fit, seen) + _variance(validation, setting.validation_images))
    second = epochs[len(epochs) // 2 :]
    changes = [
        abs(after.validation_accuracy - before.validation_accuracy) for before, after in itertools.pairwise(second)
    ]
    swing = statistics.fmean(changes) if changes else 0.0
    third = max(1, len(epochs) // 3)
    middle = _mean(epochs[-2 * third : -third] or epochs[:1], lambda at: at.train_loss)
    end = _mean(epochs[-third:], lambda at: at.train_loss)
    ratios = [at.update_ratio for at in epochs if at.update_ratio is not None]
    dead = [at.dead_share for at in last if at.dead_share is not None]
    surges = [at.surge for at in second if at.surge is not None]
    lowest = min(at.validation_loss for at in epochs)
    return Signs(
        epochs=len(epochs),
        fit_accuracy=fit,
        validation_accuracy=validation,
        best_accuracy=max(at.validation_accuracy for at in epochs),
        gap=fit - validation,
        gap_noise=noise,
        loss_ratio=_mean(last, lambda at: at.validation_loss) / max(lowest, 1e-9),
        fit_loss=_mean(last, lambda at: at.train_loss if at.fit_loss is None else at.fit_loss),
        validation_loss=_mean(last, lambda at: at.validation_loss),
        falling=(middle - end) / max(middle, 1e-9),
        swing=swing / math.sqrt(2 * _variance(validation, setting.validation_images)),
        swing_points=swing,
        update_ratio=statistics.median(ratios) if ratios else None,
        dead_share=statistics.fmean(dead) if dead else None,
        surge=max(surges) if surges else None,
    )


def _mean(epochs: Sequence[EpochResult], measure: Callable[[EpochResult], float]) -> float:
    return statistics.fmean(measure(at) for at in epochs)


def _variance(accuracy: float, images: int) -> float:
    """Variance of an accuracy measured on `images` images, with pseudo-counts, since the true share is unknown (Agresti and Coull
    1998)."""
    share = (accuracy * images + 2) / (images + 4)
    return share * (1 - share) / max(1, images)
