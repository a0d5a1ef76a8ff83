"""Splits images into those that a repetition of the selection sees and those that score it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ensembles.config import Correction

FOLDS = 10
"""With more, the selection sees more images and there are fewer rounds to average over."""

SELECTED_SHARE: dict[Correction, float] = {"bootstrap": 0.15, "cross-fit": 0.0}
"""Share of the estimate that is the score as selected; the rest comes from images that the selection did not see.

A bootstrap sees 63 % of the images, and some of them twice, so its selection is worse than that of all images: by half a point
at 500 images. Efron (1983) corrects that for classifiers with a share of 0.368; for a selection among 200 candidates the
optimism is so much larger than this loss that 0.368 is too much. Measured on simulated pools (as benchmarks/corrected.py draws them; 40 to 60 each
of 500 and 2,000 images, teams right on 92 and 99 %), in points of accuracy; .632+ on 500 images alone:

                                   mean error              root mean square error
    out-of-bag alone               -0.59 to -0.12          1.40  0.62  0.72  0.17
    with a share of 0.15           -0.13 to +0.01          1.21  0.51  0.63  0.12
    .632+ (Efron and Tibshirani)   +0.08 to +0.83          1.28  0.38
    optimism-corrected             +0.18 to +1.24
    5-fold cross-fit, 8 rounds     -0.36 to -0.04          1.23  0.57  0.63  0.12
    10-fold cross-fit, 4 rounds    -0.19 to +0.03          1.31  0.61  0.58  0.13
    the team on as many new images  0                      1.27  0.41  0.47  0.11
"""

STREAM = 0x0B007
"""Keeps these draws apart from others with the same seed."""


@dataclass(frozen=True, eq=False)
class Part:
    """One repetition.

    inside     int64, rows that the selection sees, rising; of a bootstrap a row stands there as often as it was drawn
    outside    int64, rows that score it, rising; none of them is in `inside`
    """

    inside: npt.NDArray[np.int64]
    outside: npt.NDArray[np.int64]


Rounds: TypeAlias = list[list[Part]]
"""Repetitions; those of one round score different images."""


def draw_rounds(
    images: int, kind: Correction, repetitions: int, seed: int, groups: npt.NDArray[np.int64] | None = None
) -> Rounds:
    """About `repetitions` of them: rounds of `FOLDS` folds each, or as many bootstraps; none where there are too few images.

    cross-fit    each round cuts the images at random into folds; each fold scores what the others select, so that a round
                 scores every image once
    bootstrap    as many images as there are, drawn with replacement (Efron 1979); those that were not drawn score

    Not stratified by class: validation was drawn as a whole, and how many it got of each is part of the luck that a
    selection profits from. The same arguments give the same rounds. With `groups`, int64 (images,), whole groups are drawn and cut.
    """
    rng = np.random.default_rng([STREAM, seed])
    numbers = np.arange(images) if groups is None else np.unique(groups, return_inverse=True)[1]
    rows, units = np.arange(images), int(numbers.max()) + 1
    if kind == "bootstrap":
        drawn = rng.multinomial(units, np.full(units, 1 / units), size=repetitions)[:, numbers]
        return [[Part(np.repeat(rows, counts), np.flatnonzero(counts == 0))] for counts in drawn if (counts == 0).any()]
    folds = min(FOLDS, units, max(2, repetitions)) if repetitions else 0
    if folds < 2:
        return []
    rounds = []
    for _ in range(max(1, repetitions // folds)):
        fold_of = np.empty(units, np.int64)
        fold_of[rng.permutation(units)] = np.arange(units) % folds
        fold = fold_of[numbers]
        rounds.append([Part(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(folds)])
    return rounds
