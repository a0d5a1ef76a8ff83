"""Who votes: members and weights, chosen on validation alone.

Whoever repeats a selection on some of the images gives `select` a `PredictionPool` of these rows: it asks nothing of a pool but
its arrays, keeps nothing from call to call, and the same arguments give the same team. By log-loss (`greedy`, ties `caucus`)
the classes but the true one matter to nobody: `selection.by_loss.greedy_by_loss` picks from true-class probabilities alone, and
on a pool of two classes, the true one and all others, `select` picks the same.
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
    """The team that `config` asks for, from the candidates of `pool`, whose split must be validation.

    `costs` are by trial_id, and only `config.budget` asks for them. Raises `MismatchedPredictions` for another split, and
    `SweepFileError` where `top` asks for more than there are, or the budget leaves nobody or is of costs that are not known.
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
