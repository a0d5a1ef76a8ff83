"""Selects the team: members and weights, on validation alone.

To repeat a selection on some of the images, call `select` with a `PredictionPool` of these rows: it uses nothing but the pool's
arrays, keeps no state from call to call, and the same arguments give the same team. By log-loss (`greedy`, ties `caucus`) only
the true class matters: `greedy.by_loss.greedy_by_loss` picks from true-class probabilities alone, and on a pool of two classes,
the true one and all others, `select` picks the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ensembles.config import EnsembleConfig
from ensembles.pool.pool import PredictionPool
from ensembles.selection.ranking import rank_members as rank_members
from ensembles.selection.ranking import weigh
from ensembles.team import Team
from trainables.errors import MismatchedPredictions, PluginUnusable
from trainables.plugins.call import choose_keys, naming
from trainables.plugins.kind import is_plugin
from trainables.plugins.kinds import SELECTION
from trainables.results.record import TrialCost


def select(pool: PredictionPool, config: EnsembleConfig, costs: Mapping[str, TrialCost] | None = None) -> Team:
    """The team selected by the rules of `config` from the candidates of `pool`, whose split must be validation.

    `costs` are by trial_id, and only `config.budget` needs them. Raises `MismatchedPredictions` for another split, and
    `SweepFileError` if `top` asks for more than there are, or if the budget leaves no candidate or needs costs that are unknown, and
    `PluginUnusable` where a plug-in fails. A plug-in may be called by several threads at a time.
    """
    if pool.split != "validation":
        raise MismatchedPredictions(
            f"members were to be chosen on split {pool.split}: a team is chosen on validation, so that test can judge it"
        )
    function = SELECTION.find(config.select)
    if is_plugin(config.select):
        return _select_custom(pool, config, costs, function)
    team: Team = function(pool, config, **choose_keys(function, 2, {"costs": costs}, {}))
    return team


def _select_custom(
    pool: PredictionPool, config: EnsembleConfig, costs: Mapping[str, TrialCost] | None, function: Callable[..., Any]
) -> Team:
    """The team of a plug-in, which is called with the pool, with those of `size`, `metric`, `costs` and `config` that its signature
    names, and with its own keys. It returns a weight for each member of the pool, 0 for those that do not vote; or a `Team`."""
    known = {"size": config.size, "metric": config.metric, "costs": costs, "config": config}
    where = f"ensemble.select is {config.select}"
    with naming(where):
        found = function(pool, **choose_keys(function, 1, known, config.custom_keys))
    if isinstance(found, Team):
        return found
    weights = np.asarray(found)
    if weights.shape != (len(pool.members),) or weights.dtype.kind not in "biuf":
        raise PluginUnusable(
            f"{where}: of {len(pool.members)} candidates it returned {weights.dtype}{weights.shape}: return one weight for each, "
            "0 for those that do not vote"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise PluginUnusable(f"{where}: it returned weights that are below 0, not finite, or all 0: at least one votes")
    chosen = np.flatnonzero(weights)
    return weigh(pool, config, chosen.tolist(), weights[chosen].astype(np.float64).tolist())
