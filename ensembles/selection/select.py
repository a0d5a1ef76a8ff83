"""Selects the team: members and weights, on validation alone.

To repeat a selection on some of the images, call `select` with a `PredictionPool` of these rows: it uses nothing but the pool's
arrays, keeps no state from call to call, and the same arguments give the same team. By log-loss (`greedy`, ties `caucus`) only
the true class matters: `greedy.by_loss.greedy_by_loss` picks from true-class probabilities alone, and on a pool of two classes,
the true one and all others, `select` picks the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from ensembles.config import EnsembleConfig
from ensembles.pool.pool import PredictionPool
from ensembles.selection.greedy.greedy import select_greedily
from ensembles.selection.ranking import rank_members as rank_members
from ensembles.selection.ranking import select_ranked
from ensembles.team import Team
from trainables.errors import MismatchedPredictions
from trainables.results.record import TrialCost


def select(pool: PredictionPool, config: EnsembleConfig, costs: Mapping[str, TrialCost] | None = None) -> Team:
    """The team selected by the rules of `config` from the candidates of `pool`, whose split must be validation.

    `costs` are by trial_id, and only `config.budget` needs them. Raises `MismatchedPredictions` for another split, and
    `SweepFileError` if `top` asks for more than there are, or if the budget leaves no candidate or needs costs that are unknown.
    """
    if pool.split != "validation":
        raise MismatchedPredictions(
            f"members were to be chosen on split {pool.split}: a team is chosen on validation, so that test can judge it"
        )
    match config.select:
        case "best" | "top" | "all":
            return select_ranked(pool, config)
        case "greedy" | "greedy-once":
            return select_greedily(pool, config, costs)
        case "cma-es":
            from ensembles.selection.cma_es import select_by_cma_es

            return select_by_cma_es(pool, config)
        case "stable":
            from ensembles.selection.stable import select_stable

            return select_stable(pool, config)
        case "smallest":
            from ensembles.selection.smallest import select_smallest

            return select_smallest(pool, config)
        case "boosted":
            from ensembles.selection.boosted import select_boosted

            return select_boosted(pool, config)
