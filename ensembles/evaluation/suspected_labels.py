"""Suspects wrong labels from predictions of nets that have not learnt them: confident learning (Northcutt, Jiang and Chuang 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class SuspectedLabel:
    """One image whose label may be wrong."""

    image_id: str
    split: str
    label: str
    suggested: str
    """The class that the team is confident of."""
    probability: float
    """The team's calibrated probability of `suggested`."""
    probability_of_label: float


def suspect_labels(
    probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows whose label is suspected, and the class suggested for each, both int64 (suspects,); the likeliest errors first.

    `probabilities` float64 (images, classes) are of nets that were not trained on these images. Of a class a net is confident where it
    gives it at least the mean probability that the class has on images of its label: so a class that is hard in general is suspected no
    more than others. Suspected are the entries off the diagonal of the confident joint (their method `C_confusion`), ordered by the
    probability of the label less that of the suggestion (their normalised margin). Rows with a NaN are never suspected.
    """
    classes = probabilities.shape[1]
    whole = np.isfinite(probabilities).all(1)
    counts = np.bincount(labels[whole], minlength=classes)
    own = np.where(whole, probabilities[np.arange(len(labels)), labels], 0)
    sums = np.bincount(labels[whole], weights=own[whole], minlength=classes)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(probabilities >= thresholds, probabilities, -1)
    confident[~whole] = -1
    suggested = confident.argmax(1)
    best = confident.max(1)
    rows = np.flatnonzero((best >= 0) & (suggested != labels) & (best > own))
    order = rows[np.argsort(own[rows] - best[rows], kind="stable")]
    return order, suggested[order].astype(np.int64)
