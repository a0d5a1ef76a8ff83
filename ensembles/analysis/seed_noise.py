"""How much the seed alone moves a trial's accuracy, and which configurations it leaves tied with the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from trainables.results.record import TrialRecord

ROUNDING = 1e-12
"""Equal means may differ in their last bit; accuracies differ by at least one image in a billion."""


@dataclass(frozen=True)
class SeedGroup:
    """One configuration, trained with several seeds."""

    records: tuple[TrialRecord, ...]
    """Records of the trials that finished."""
    mean: float
    """Mean of their best validation accuracies."""
    tied: bool
    """Whether its mean may equal that of the best group: the difference may be due to seeds alone."""


@dataclass(frozen=True)
class SeedNoise:
    """How far seeds alone spread best validation accuracies."""

    sd: float
    """Standard deviation within configurations, pooled over all."""
    degrees: int
    """Degrees of freedom: finished trials less configurations."""
    groups: tuple[SeedGroup, ...]
    """Groups by falling mean, of equals in the order given. The first is the best, and tied with itself."""
    left_out: int
    """Trials that did not finish."""


def measure_noise(groups: Sequence[tuple[TrialRecord, ...]]) -> SeedNoise | None:
    """The spread within `groups`, each of one configuration with different seeds; None if none has two that finished.

    Only finished trials count: a pruned trial is worse because of missing epochs, not because of its seed. A group is tied with
    the best if their means are no further apart than t * s * sqrt(1/n_a + 1/n_b), with Student's (1908) 97.5 %
    quantile t and the pooled deviation s. Each group is tested alone, without a correction for their number, and the best mean
    is the luckiest one too: with many groups some are marked worse that are not.
    """
    counted = [
        tuple(record for record in group if record.state == "finished" and record.best is not None) for group in groups
    ]
    kept = [(group, [_accuracy(record) for record in group]) for group in counted if group]
    degrees = sum(len(seen) - 1 for _, seen in kept)
    if degrees < 1:
        return None
    from scipy.special import stdtrit  # a light report does without scipy

    squares = sum((value - fmean(seen)) ** 2 for _, seen in kept for value in seen)
    sd = math.sqrt(squares / degrees)
    ranked = sorted(((group, fmean(seen)) for group, seen in kept), key=lambda pair: -pair[1])
    top, best = ranked[0]
    within = float(stdtrit(degrees, 0.975)) * sd
    return SeedNoise(
        sd=sd,
        degrees=degrees,
        groups=tuple(
            SeedGroup(
                group, mean, group is top or best - mean <= within * math.sqrt(1 / len(top) + 1 / len(group)) + ROUNDING
            )
            for group, mean in ranked
        ),
        left_out=sum(map(len, groups)) - sum(map(len, counted)),
    )


def _accuracy(record: TrialRecord) -> float:
    assert record.best is not None, "groups hold trials with an epoch"
    return record.best.validation_accuracy
