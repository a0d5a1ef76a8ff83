"""Repeats the whole selection on some of the images: how the team depends on which images were drawn."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.config import EnsembleConfig
from ensembles.metrics.scores import LEAST_PROBABILITY
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
    """The `ensemble.size` most accurate, best first."""


def repeat_selection(
    pool: Candidates, config: EnsembleConfig, rounds: Rounds, costs: Mapping[str, TrialCost] | None
) -> tuple[list[list[Repetition]], int]:
    """The selection of each part by the rules of `config`, in the order of `rounds`; and the number of candidates."""
    parts = [part for each in rounds for part in each]
    members = pool.true_class.members
    by_accuracy, by_loss = _rank(pool.true_class, parts)
    many = len(members) > MOST_CANDIDATES and config.select not in ("all", "boosted")
    kept = max(CANDIDATES_OF_LARGE_POOL, config.size) if many else len(members)
    ranked = by_loss if config.metric in ("log_loss", "brier", "auc") else by_accuracy
    whole = None if needs_true_class_alone(config) else pool.read(members, "validation")

    def select_from(place: int) -> Repetition:
        part = parts[place]
        positions = np.sort(ranked[place][:kept]) if many else np.arange(len(members))
        seen = (
            take(whole, positions, part.inside) if whole else _take_true_class(pool.true_class, positions, part.inside)
        )
        best = tuple(members[position] for position in by_accuracy[place][: config.size])
        return Repetition(part, select(seen, config, costs), best)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as workers:
        found = iter(list(workers.map(select_from, range(len(parts)))))
    return [[next(found) for _ in each] for each in rounds], kept


def rank_all(pool: TrueClassPool) -> list[CheckpointId]:
    """All candidates, best first by accuracy, of equals the lower log-loss, then the earlier: as `rank_members` has it."""
    accuracies, losses = pool.accuracies(), pool.log_losses()
    return [pool.members[position] for position in np.lexsort((losses, -accuracies))]


def _rank(
    pool: TrueClassPool, parts: Sequence[Part]
) -> tuple[list[npt.NDArray[np.int64]], list[npt.NDArray[np.int64]]]:
    """Positions of all candidates, best first on the images of each part: by accuracy, of equals the lower log-loss; and by
    log-loss, of equals the higher accuracy. Remaining ties keep the order of the pool."""
    seen = np.stack([np.bincount(part.inside, minlength=len(pool.labels)) for part in parts], 1).astype(np.float32)
    right = (pool.predicted == pool.labels).astype(np.float32) @ seen
    loss = -np.log(np.maximum(pool.probabilities, np.float32(LEAST_PROBABILITY))) @ seen
    places = range(len(parts))
    return (
        [np.lexsort((loss[:, place], -right[:, place])) for place in places],
        [np.lexsort((-right[:, place], loss[:, place])) for place in places],
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
