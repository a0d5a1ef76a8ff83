"""Which candidates of a pool can be deleted, and every choice up to a size stays what it is.

A candidate that is never picked decides nothing about greedy's picks, nor about the order of the best: the same picks
follow from the pool without it. That is the reason, not the proof: ties within rounding, and rules that draw lots among
all candidates (bags, `stable`, AutoGluon's ties), may depend on who did not win. So nothing is taken for granted here:
the choices are made again from what would be left, and where one of them differs, every candidate stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ensembles.config import EnsembleConfig, Metric, SelectMethod
from ensembles.pool.pool import PredictionPool
from ensembles.selection.select import rank_members, select
from ensembles.team import Team
from trainables.errors import SweepFileError
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialCost

USUAL_METRICS: tuple[Metric, ...] = ("log_loss", "accuracy")
"""Those that a choice is kept for whatever the sweeps ask for."""

KEPT_EQUAL = (
    "best single, top-k and greedy up to --keep-size, by log-loss, accuracy and each metric that a run of the store asks for",
    "each run's own team, its weights, its vote, and its score on validation and test",
)
CHANGED = (
    "the uniform vote of all candidates, which has fewer of them then",
    "the corrected estimate and the bands, which repeat the selection among all candidates",
    "choices that nobody has made so far, from pools of another kind: such as ensemble.pool=every for a run whose pool is best",
)


@dataclass(frozen=True)
class InvariantSubset:
    """What stays of a pool."""

    members: frozenset[CheckpointId]
    selections: tuple[Team | None, ...]
    """Made from all candidates, in the order of `retained_selections`; None where a rule asks for more than there are."""
    all_stay: bool
    """Whether a choice depends on candidates that it does not take, so that none may go."""


def retained_selections(config: EnsembleConfig, keep_size: int, metrics: Iterable[Metric]) -> list[EnsembleConfig]:
    """The choices that have to stay what they are: that of `config`, and best, top-k and greedy by each metric.

    Greedy and top-k are asked for at the largest size alone: the picks of a smaller one are how those of a larger begin.
    """
    all_metrics = dict.fromkeys([config.metric, *metrics, *USUAL_METRICS])
    configs = [config]
    for metric in all_metrics:
        for how, size in (("best", 1), ("top", keep_size), ("greedy", max(keep_size, config.size))):
            configs.append(_plain(how, size, metric, config))  # type: ignore[arg-type]
    larger = replace_size(config, keep_size)
    if config.select in ("greedy", "greedy-once") and larger != config and config.size < keep_size:
        configs.append(larger)
    return list(dict.fromkeys(configs))


def retain(
    pool: PredictionPool, configs: Sequence[EnsembleConfig], costs: Mapping[str, TrialCost] | None = None
) -> InvariantSubset:
    """Who of `pool` must stay for the choices that are `configs` for to be made again, and so many of the most accurate as
    the largest of them takes, which are what reports compare with; `costs` by trial."""
    selections = choose_each(pool, configs, costs)
    first = [pool.members[position] for position in rank_members(pool)[: max(each.size for each in configs)]]
    members = frozenset(first).union(*((*choice.members, *choice.picks) for choice in selections if choice))
    left = take_members(pool, members)
    same_order = [left.members[position] for position in rank_members(left)[: len(first)]] == first
    if not same_order or not agree(selections, choose_each(left, configs, costs)):
        return InvariantSubset(frozenset(pool.members), selections, all_stay=True)
    return InvariantSubset(members, selections, all_stay=len(members) == len(pool.members))


def choose_each(
    pool: PredictionPool, configs: Sequence[EnsembleConfig], costs: Mapping[str, TrialCost] | None = None
) -> tuple[Team | None, ...]:
    """The choice of each, from `pool`; of top-k as many as there are."""
    found: list[Team | None] = []
    for config in configs:
        fits = replace_size(config, min(config.size, len(pool.members))) if config.select == "top" else config
        try:
            found.append(select(pool, fits, costs))
        except SweepFileError:
            found.append(None)
    return tuple(found)


def agree(before: Sequence[Team | None], after: Sequence[Team | None]) -> bool:
    """Whether the same are chosen, with the same weights, in the same picks, with the same score."""
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
    return EnsembleConfig(select=how, size=size, metric=metric, pool=config.pool)


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
