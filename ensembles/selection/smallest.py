"""The fewest members whose score validation cannot distinguish from that of greedy's whole team."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ensembles.config import EnsembleConfig
from ensembles.metrics.scores import LEAST_PROBABILITY, cost_of, measure
from ensembles.pool.pool import PredictionPool
from ensembles.selection.greedy.greedy import Steps, pick, to_team
from ensembles.selection.greedy.ties import FirstOfTeam
from ensembles.team import Team

Z_ONE_SIDED = 1.6448536269514722
"""95 % quantile of the standard normal distribution."""
RESAMPLES = 200
STREAM = 0x5A11
"""Keeps these draws apart from others with the same seed."""


def select_smallest(pool: PredictionPool, config: EnsembleConfig) -> Team:
    """The shortest prefix of greedy's picks that is not worse than its team at the one-sided 5 % level.

    Of prefixes with equally many members the one with the best score is tested. If the metric is a mean over images the test
    is a paired z-test of each image's cost; else a paired bootstrap of the metric (Efron 1979). That a difference cannot be
    shown does not prove that there is none: with few images the team is smaller than with many.
    """
    steps = pick(pool, config)
    picks = steps.positions[: steps.kept]
    whole = _mean(pool, picks)
    most = len(set(picks))
    for members in range(1, most):
        counts = [count for count in range(1, steps.kept + 1) if len(set(picks[:count])) == members]
        count = counts[FirstOfTeam().team_size([steps.costs[count - 1] for count in counts], 0) - 1]
        if not is_worse(pool.labels, _mean(pool, picks[:count]), whole, config):
            return to_team(pool, config, Steps(steps.positions, steps.costs, count))
    return to_team(pool, config, steps)


def is_worse(
    labels: npt.NDArray[np.int64],
    small: npt.NDArray[np.float64],
    whole: npt.NDArray[np.float64],
    config: EnsembleConfig,
) -> bool:
    """Whether `small` is worse than `whole` by `config.metric` on the same images; both float64 (images, classes)."""
    metric = config.metric
    if metric in ("accuracy", "log_loss", "brier"):
        extra = _costs(small, labels, metric) - _costs(whole, labels, metric)
        if len(extra) < 2:
            return bool(extra.mean() > 0)
        return bool(extra.mean() > Z_ONE_SIDED * extra.std(ddof=1) / math.sqrt(len(extra)))
    rng = np.random.default_rng([STREAM, config.seed])
    extras = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(labels), len(labels))
        one, other = (measure(metric, probabilities[rows], labels[rows]) for probabilities in (small, whole))
        extras.append(cost_of(metric, one) - cost_of(metric, other))
    return float(np.percentile(extras, 5)) > 0


def _mean(pool: PredictionPool, positions: tuple[int, ...]) -> npt.NDArray[np.float64]:
    total = np.zeros(pool.probabilities.shape[1:])
    for position in positions:
        total += pool.probabilities[position]
    return total / len(positions)


def _costs(
    probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], metric: str
) -> npt.NDArray[np.float64]:
    """Cost of each image, float64 (images,)."""
    if metric == "accuracy":
        wrong: npt.NDArray[np.float64] = (probabilities.argmax(1) != labels).astype(np.float64)
        return wrong
    of_true_class = probabilities[np.arange(len(labels)), labels]
    if metric == "log_loss":
        loss: npt.NDArray[np.float64] = -np.log(np.maximum(of_true_class, LEAST_PROBABILITY))
        return loss
    square: npt.NDArray[np.float64] = np.einsum("ij,ij->i", probabilities, probabilities) - 2 * of_true_class + 1
    return square
