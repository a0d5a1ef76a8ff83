"""Finds the candidates of a pool that can be deleted without changing any selection up to a size.

A candidate that is never picked has no effect on greedy's picks, nor on the order of the best: the same picks follow from the
pool without it. That is the idea, not a proof: ties within rounding, and rules that draw at random among all candidates (bags,
`stable`, AutoGluon's ties), may depend on candidates that were not picked. So nothing is taken for granted: the selections are
repeated on the remaining candidates, and if one of them differs, every candidate stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from ensembles.config import EnsembleConfig, Metric, SelectMethod
from ensembles.pool.pool import PredictionPool
from ensembles.selection.select import rank_members, select
from ensembles.team import Team
from trainables.errors import SweepFileError
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialCost

USUAL_METRICS: tuple[Metric, ...] = ("log_loss", "accuracy")
"""Metrics whose selections are always retained, whatever the sweeps configure."""

KEPT_EQUAL = (
    "best single, top-k and greedy up to --keep-size, by log-loss, accuracy and each metric that a run of the store asks for",
    "each run's own team, its weights, its vote, and its score on validation and test",
)
CHANGED = (
    "the uniform vote of all candidates, which has fewer of them then",
    "the corrected estimate and the bands, which repeat the selection among all candidates",
    "selections that no run has made so far, from pools of another kind: such as ensemble.pool=every for a run whose pool is best",
)


@dataclass(frozen=True)
class InvariantSubset:
    """The candidates of a pool that are retained."""

    members: frozenset[CheckpointId]
    selections: tuple[Team | None, ...]
    """Teams from all candidates, in the order of `retained_selections`; None if a rule asks for more than there are."""
    all_stay: bool
    """Whether a selection depends on candidates that it does not take, so that none may be deleted."""


def retained_selections(config: EnsembleConfig, keep_size: int, metrics: Iterable[Metric]) -> list[EnsembleConfig]:
    """The selections that must not change: that of `config`, and best, top-k and greedy by each metric.

    Greedy and top-k are needed at the largest size only: the picks of a smaller size are a prefix of those of a larger one.
    """
    all_metrics = dict.fromkeys([config.metric, *metrics, *USUAL_METRICS])
    configs = [config]
    for metric in all_metrics:
        for how, size in (("best", 1), ("top", keep_size), ("greedy", max(keep_size, config.size))):
            configs.append(_plain(how, size, metric, config))
    larger = replace_size(config, keep_size)
    if config.select in ("greedy", "greedy-once") and larger != config and config.size < keep_size:
        configs.append(larger)
    return list(dict.fromkeys(configs))


def retain(
    pool: PredictionPool, configs: Sequence[EnsembleConfig], costs: Mapping[str, TrialCost] | None = None
) -> InvariantSubset:
    """The members of `pool` that must stay so that the selections of `configs` can be repeated, and as many of the most
    accurate as the largest of them takes, which reports use as a baseline; `costs` by trial."""
    selections = choose_each(pool, configs, costs)
    size, metrics = max(each.size for each in configs), dict.fromkeys(("accuracy", configs[0].deciding_metric))

    def first(among: PredictionPool) -> list[list[CheckpointId]]:
        return [[among.members[at] for at in rank_members(among, metric)[:size]] for metric in metrics]

    members = frozenset(chain(*first(pool))).union(
        *((*choice.members, *choice.picks) for choice in selections if choice)
    )
    left = take_members(pool, members)
    same_order = first(left) == first(pool)
    if not same_order or not agree(selections, choose_each(left, configs, costs)):
        return InvariantSubset(frozenset(pool.members), selections, all_stay=True)
    return InvariantSubset(members, selections, all_stay=len(members) == len(pool.members))


def choose_each(
    pool: PredictionPool, configs: Sequence[EnsembleConfig], costs: Mapping[str, TrialCost] | None = None
) -> tuple[Team | None, ...]:
    """The team of each of `configs` from `pool`; of top-k as many members as there are."""
    found: list[Team | None] = []
    for config in configs:
        fits = replace_size(config, min(config.size, len(pool.members))) if config.select == "top" else config
        try:
            found.append(select(pool, fits, costs))
        except SweepFileError:
            found.append(None)
    return tuple(found)


def agree(before: Sequence[Team | None], after: Sequence[Team | None]) -> bool:
    """Whether both have the same members, weights, picks and scores."""
    return len(before) == len(after) and all(map(_same, before, after))


def take_members(pool: PredictionPool, members: Iterable[CheckpointId]) -> PredictionPool:
    """`pool` with these candidates alone, in its own order."""
    retained = set(members)
    at = [position for position, name in enumerate(pool.members) if name in retained]
    return replace(pool, members=tuple(pool.members[position] for position in at), probabilities=pool.probabilities[at])


def replace_size(config: EnsembleConfig, size: int) -> EnsembleConfig:
    """`config` with another size."""
    return config.model_copy(update={"size": size})


def _plain(how: SelectMethod, size: int, metric: Metric, config: EnsembleConfig) -> EnsembleConfig:
    is_said = config.metric_is_said and metric == config.metric
    return EnsembleConfig(select=how, size=size, metric=metric, pool=config.pool, metric_is_said=is_said)


def _same(one: Team | None, other: Team | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.members, one.weights, one.picks, one.path, one.validation_score) == (
        other.members,
        other.weights,
        other.picks,
        other.path,
        other.validation_score,
    )
