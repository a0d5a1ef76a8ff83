"""Forward selection, pick by pick (Caruana 2004): each pick is the one that leaves the best team."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ensembles.config import EnsembleConfig, Metric, TieRule
from ensembles.metrics.scores import measure
from ensembles.pool.pool import PredictionPool
from ensembles.selection.greedy.by_accuracy import AccuracyCosts
from ensembles.selection.greedy.by_loss import LossCosts, take_true_class
from ensembles.selection.greedy.by_metric import MeasuredCosts, to_cost
from ensembles.selection.greedy.by_reference_loss import ReferenceLossCosts
from ensembles.selection.greedy.cost_budget import RemainingBudget, start_budget
from ensembles.selection.greedy.diversity import TeamErrors
from ensembles.selection.greedy.ties import make_tie_break
from ensembles.team import Team
from trainables.results.record import TrialCost

BAGS = 0x0BA65
"""Keeps the draws of the bags apart from others with the same seed."""


class Costs(Protocol):
    """Costs of the team with each candidate in turn; low is good."""

    def costs_with_each(self, allowed: npt.NDArray[np.bool_], everyone: bool = False) -> npt.NDArray[np.float64]:
        """Cost of the team with each candidate, float64 (members,).

        Infinite for candidates that are not allowed and, unless `everyone` is true, for those that another certainly beats.
        """

    def add(self, position: int) -> None:
        """Add the candidate at `position` to the team."""


@dataclass(frozen=True)
class Steps:
    """Picks in their order, the team's cost after each, and how many of them make the team."""

    positions: tuple[int, ...]
    costs: tuple[float, ...]
    kept: int


def select_greedily(pool: PredictionPool, config: EnsembleConfig, costs: Mapping[str, TrialCost] | None = None) -> Team:
    """The team of `greedy`, or of `greedy-once`, which picks no candidate twice.

    Caruana stops at the first pick that does not help; this makes all `config.size` picks and then drops those after the best
    team, except with the ties of auto-sklearn, which drops nothing. The first `config.start` picks are the best members alone,
    and are never dropped. With `config.bags` the picks of all bags are counted together, and none is dropped.
    Raises `SweepFileError` if the budget leaves no candidate, or costs are not known.
    """
    remaining = start_budget(config.budget, pool.members, costs)
    if config.bags == 1:
        return to_team(pool, config, pick(pool, config, remaining))
    rng = np.random.default_rng([BAGS, config.seed])
    positions: list[int] = []
    for bag in range(config.bags):
        inside = np.zeros(len(pool.members), bool)
        inside[rng.permutation(len(inside))[: (len(inside) + 1) // 2]] = True
        found = pick(pool, config, remaining, inside, config.seed + bag)
        positions += found.positions[: found.kept]
    return to_team(
        pool,
        config,
        Steps(tuple(positions), _measure_path(pool, config.metric, config.ties, positions), len(positions)),
    )


def pick(
    pool: PredictionPool,
    config: EnsembleConfig,
    remaining: RemainingBudget | None = None,
    candidates: npt.NDArray[np.bool_] | None = None,
    seed: int | None = None,
) -> Steps:
    """One selection, from `candidates`, bool (members,), if they are given.

    With `remaining` only candidates that still fit are picked, members of the team at no cost, and there are two selections:
    one picks by gain, the other by gain per cost (Leskovec 2007). The better team is returned, of equals the first.
    """
    inside = np.ones(len(pool.members), bool) if candidates is None else candidates
    plain = _walk(pool, config, remaining, inside, config.seed if seed is None else seed, False)
    if remaining is None:
        return plain
    by_price = _walk(pool, config, remaining, inside, config.seed if seed is None else seed, True)
    return by_price if by_price.costs[by_price.kept - 1] < plain.costs[plain.kept - 1] else plain


def make_costs(pool: PredictionPool, metric: Metric, ties: TieRule) -> Costs:
    """The cost engine for a metric. For log-loss and accuracy it reproduces the arithmetic of AutoGluon and auto-sklearn; for
    other metrics only their tie rules."""
    if metric == "accuracy":
        return AccuracyCosts(pool.probabilities, pool.labels, ties)
    if metric != "log_loss":
        return MeasuredCosts(pool.probabilities, pool.labels, metric, ties)
    if ties == "caucus":
        return LossCosts(take_true_class(pool.probabilities, pool.labels))
    return ReferenceLossCosts(pool.probabilities, pool.labels, ties)


def to_team(pool: PredictionPool, config: EnsembleConfig, steps: Steps) -> Team:
    """The team of the first `steps.kept` picks; each member's weight is its share of them."""
    counts = Counter(steps.positions[: steps.kept])
    path = tuple(to_cost(cost, config.metric, config.ties) for cost in steps.costs)
    return Team(
        members=tuple(pool.members[position] for position in counts),
        weights=tuple(count / steps.kept for count in counts.values()),
        how=config.select,
        metric=config.metric,
        picks=tuple(pool.members[position] for position in steps.positions),
        path=path,
        validation_score=path[steps.kept - 1],
        kept=steps.kept,
    )


def _walk(
    pool: PredictionPool,
    config: EnsembleConfig,
    remaining: RemainingBudget | None,
    inside: npt.NDArray[np.bool_],
    seed: int,
    by_price: bool,
) -> Steps:
    engine, rule = make_costs(pool, config.metric, config.ties), make_tie_break(config.ties, seed)
    errors = TeamErrors(pool) if config.diverse else None
    team: list[int] = []
    path: list[float] = []
    spent = remaining.empty() if remaining else None
    worth = _nothing(config.metric, config.ties, len(pool.class_names))
    alone = engine.costs_with_each(inside, everyone=True) if config.start else None
    while len(team) < config.size:
        allowed = inside.copy()
        if config.select == "greedy-once":
            allowed[team] = False
        if spent:
            allowed &= spent.fits()
        starting = alone is not None and len(team) < config.start
        if starting:
            allowed[team] = False
        if not allowed.any():
            if remaining and not team:
                raise remaining.too_small()
            if not starting:
                break
            alone = None
            continue
        found = engine.costs_with_each(allowed, everyone=bool(by_price or starting))
        if starting and alone is not None:
            ranked = np.where(allowed, alone, np.inf)
        elif by_price and spent:
            ranked = _by_price(found, worth, spent.prices())
        else:
            ranked = found
        equals = rule.equals(ranked)
        position = rule.choose(errors.least_alike(equals) if errors else equals, set(team))
        engine.add(position)
        if spent:
            spent.add(position)
        if errors:
            errors.add(position)
        team.append(position)
        worth = rule.round_cost(float(found[position]))
        path.append(worth)
        if len(pool.members) == 1 and config.ties != "caucus":
            break  # both libraries stop there
    return Steps(tuple(team), tuple(path), rule.team_size(path, min(config.start, len(path))))


def _by_price(costs: npt.NDArray[np.float64], worth: float, prices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Costs to rank by: negative gain per price. Candidates that gain at no price come first; if none gains, rank by cost."""
    gains = worth - costs
    if not (gains > 0).any():
        return costs
    free = (gains > 0) & (prices == 0)
    if free.any():
        return np.where(free, costs, np.inf)
    return np.where(gains > 0, -gains / np.where(prices > 0, prices, 1), np.inf)


def _nothing(metric: Metric, ties: TieRule, classes: int) -> float:
    """The cost before the first pick: that of uniform probabilities."""
    uniform, labels = np.full((classes, classes), 1 / classes), np.arange(classes)
    return to_cost(measure(metric, uniform, labels), metric, ties)


def _measure_path(pool: PredictionPool, metric: Metric, ties: TieRule, positions: list[int]) -> tuple[float, ...]:
    """Costs after each of these picks."""
    total, path = np.zeros(pool.probabilities.shape[1:]), []
    for count, position in enumerate(positions, start=1):
        total += pool.probabilities[position]
        path.append(to_cost(measure(metric, total / count, pool.labels), metric, ties))
    return tuple(path)
