"""Members that greedy picks on most bootstraps of the images (stability selection: Meinshausen and Bühlmann 2010)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ensembles.config import EnsembleConfig
from ensembles.metrics.intervals import draw_bootstraps
from ensembles.pool.pool import PredictionPool
from ensembles.selection.greedy.by_loss import greedy_by_loss, take_true_class
from ensembles.selection.greedy.greedy import pick
from ensembles.selection.greedy.ties import FirstOfTeam
from ensembles.selection.ranking import rank_members, weigh
from ensembles.team import Team

BOOTSTRAPS = 40
"""Bootstraps if `ensemble.bootstraps` is 0."""
OFTEN = 0.5
"""Share of the bootstraps that must pick a member; if none is picked so often, the one that is picked most often votes alone."""
CANDIDATES = 100
"""Candidates considered of a larger pool, the best by the metric: bootstraps pick none below them, and copies of rows cost memory."""
STREAM = 0x57AB1
"""Keeps these draws apart from others with the same seed."""


def select_stable(pool: PredictionPool, config: EnsembleConfig) -> Team:
    """At most `config.size` members, the most often picked first, of equals as in the pool; weights are the shares of
    bootstraps that pick them."""
    shares = stabilities(pool, config)
    often = [int(position) for position in np.argsort(-shares, kind="stable") if shares[position] >= OFTEN]
    chosen = often[: config.size] or [int(shares.argmax())]
    return weigh(pool, config, chosen, [float(shares[position]) for position in chosen])


def stabilities(pool: PredictionPool, config: EnsembleConfig) -> npt.NDArray[np.float64]:
    """Share of bootstraps of the images (Efron 1979), by whole groups, in which greedy's team has each member, float64 (members,)."""
    rng = np.random.default_rng([STREAM, config.seed])
    considered = np.sort(rank_members(pool, config.metric)[: max(CANDIDATES, config.size)])
    by_loss = config.metric == "log_loss" and config.ties == "caucus" and not config.start and not config.diverse
    of_true_class = take_true_class(pool.probabilities, pool.labels)[considered] if by_loss else None
    rounds = config.bootstraps or BOOTSTRAPS
    picked = np.zeros(len(pool.members))
    for rows in map(np.sort, draw_bootstraps(rng, len(pool.labels), pool.groups, rounds)):
        if of_true_class is not None:
            steps = list(greedy_by_loss(of_true_class[:, rows], config.size))
            count = FirstOfTeam().team_size([loss for _, loss in steps], 0)
            team = {position for position, _ in steps[:count]}
        else:
            seen = PredictionPool(
                pool.data_id,
                pool.split,
                tuple(pool.members[position] for position in considered),
                pool.probabilities[np.ix_(considered, rows)],
                pool.labels[rows],
                pool.class_names,
            )
            found = pick(seen, config)
            team = set(found.positions[: found.kept])
        picked[considered[list(team)]] += 1
    return picked / rounds
