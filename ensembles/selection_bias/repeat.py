"""Repeats the whole selection on some of the images: how the team depends on which images were drawn."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.config import EnsembleConfig, Metric
from ensembles.metrics.scores import LEAST_PROBABILITY, balanced_accuracy, cost_of, macro_f1, measure
from ensembles.pool.in_memory import Candidates, take
from ensembles.pool.pool import PredictionPool
from ensembles.pool.stored import needs_true_class_alone
from ensembles.pool.true_class import TrueClassPool, true_or_other
from ensembles.selection.select import select
from ensembles.selection_bias.resample import Part, Rounds
from ensembles.team import Team
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialCost

MOST_CANDIDATES = 200
"""Every repetition selects from the whole pool up to this size."""
CANDIDATES_OF_LARGE_POOL = 100
"""From a larger pool each repetition selects among this many, the best alone on the images that it sees: no image that scores
the repetition influences this."""


@dataclass(frozen=True)
class Repetition:
    """The selection of one part of the images."""

    part: Part
    team: Team
    best: tuple[CheckpointId, ...]
    """The `ensemble.size` best alone by the metric that decides, best first."""


def repeat_selection(
    pool: Candidates, config: EnsembleConfig, rounds: Rounds, costs: Mapping[str, TrialCost] | None
) -> tuple[list[list[Repetition]], int]:
    """The selection of each part by the rules of `config`, in the order of `rounds`; and the number of candidates."""
    parts = [part for each in rounds for part in each]
    members = pool.true_class.members
    by_accuracy, by_loss, losses = _rank(pool.true_class, parts)
    many = len(members) > MOST_CANDIDATES and config.select not in ("all", "boosted")
    kept = max(CANDIDATES_OF_LARGE_POOL, config.size) if many else len(members)
    ranked = by_loss if config.metric in ("log_loss", "brier", "auc") else by_accuracy
    whole = None if needs_true_class_alone(config) else pool.read(members, "validation")
    metric = config.deciding_metric

    def rank_alone(place: int, among: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Positions of the candidates, best first by the metric that decides, on the images of a part."""
        if metric == "accuracy":
            return by_accuracy[place]
        ordered = by_accuracy[place][np.isin(by_accuracy[place], among)]
        of_part = losses[:, place].astype(np.float64)
        costs = _costs(pool.true_class, metric, ordered, parts[place].inside, of_part, whole)
        return ordered[np.argsort(costs, kind="stable")]

    def select_from(place: int) -> Repetition:
        part = parts[place]
        positions = np.sort(ranked[place][:kept]) if many else np.arange(len(members))
        seen = (
            take(whole, positions, part.inside) if whole else _take_true_class(pool.true_class, positions, part.inside)
        )
        best = tuple(members[position] for position in rank_alone(place, positions)[: config.size])
        return Repetition(part, select(seen, config, costs), best)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as workers:
        found = iter(list(workers.map(select_from, range(len(parts)))))
    return [[next(found) for _ in each] for each in rounds], kept


def rank_all(
    pool: TrueClassPool, metric: Metric = "accuracy", whole: PredictionPool | None = None
) -> list[CheckpointId]:
    """All candidates, best first by `metric`, of equals the higher accuracy, then the lower log-loss, then the earlier: as
    `rank_members` has it. `whole` are their whole predictions, which only AUC and Brier score need."""
    accuracies, losses = pool.accuracies(), pool.log_losses()
    if metric == "accuracy":
        return [pool.members[position] for position in np.lexsort((losses, -accuracies))]
    members, rows = np.arange(len(pool.members)), np.arange(len(pool.labels))
    costs = _costs(pool, metric, members, rows, losses, whole)
    return [pool.members[position] for position in np.lexsort((losses, -accuracies, costs))]


def _costs(
    pool: TrueClassPool,
    metric: Metric,
    members: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    losses: npt.NDArray[np.float64],
    whole: PredictionPool | None,
) -> npt.NDArray[np.float64]:
    """What ranks the candidates at `members` on the images `rows`, float64 (members,), low is good; `losses` are the log-losses of
    all candidates there."""
    if metric == "log_loss":
        return losses[members]
    labels, classes = pool.labels[rows], len(pool.class_names)
    if metric in ("balanced_accuracy", "macro_f1"):
        score = balanced_accuracy if metric == "balanced_accuracy" else macro_f1
        return np.array([-score(pool.predicted[at][rows].astype(np.int64), labels, classes) for at in members])
    assert whole is not None, "AUC and Brier score need whole predictions"
    return np.array([cost_of(metric, measure(metric, whole.probabilities[at][rows], labels)) for at in members])


def _rank(
    pool: TrueClassPool, parts: Sequence[Part]
) -> tuple[list[npt.NDArray[np.int64]], list[npt.NDArray[np.int64]], npt.NDArray[np.float32]]:
    """Positions of all candidates, best first on the images of each part: by accuracy, of equals the lower log-loss; and by
    log-loss, of equals the higher accuracy. Remaining ties keep the order of the pool. And their sums of losses (members, parts)."""
    seen = np.stack([np.bincount(part.inside, minlength=len(pool.labels)) for part in parts], 1).astype(np.float32)
    right = (pool.predicted == pool.labels).astype(np.float32) @ seen
    loss = -np.log(np.maximum(pool.probabilities, np.float32(LEAST_PROBABILITY))) @ seen
    places = range(len(parts))
    return (
        [np.lexsort((loss[:, place], -right[:, place])) for place in places],
        [np.lexsort((-right[:, place], loss[:, place])) for place in places],
        loss,
    )


def _take_true_class(
    pool: TrueClassPool, positions: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> PredictionPool:
    """These members and images alone, as a pool of two classes: by log-loss the picks are the same."""
    return true_or_other(
        TrueClassPool(
            pool.data_id,
            pool.split,
            tuple(pool.members[position] for position in positions),
            np.stack([pool.probabilities[position][rows] for position in positions]),
            np.zeros((len(positions), len(rows)), np.uint8),  # of which log-loss asks nothing
            pool.labels[rows],
            pool.class_names,
        )
    )
