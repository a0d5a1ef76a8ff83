"""Teams that must fit a budget, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles.config import CostBudget, EnsembleConfig
from ensembles.selection.select import select
from tests.ensembles.samples import make_pool, member
from trainables.errors import SweepFileError
from trainables.results.record import TrialCost

# What each gives to the true class, always 0, of two images; the first is the best alone.
OF_TRUE_CLASS = np.array([[0.9, 0.8], [0.85, 0.8], [0.8, 0.85], [0.6, 0.6]])
POOL = make_pool(np.stack([OF_TRUE_CLASS, 1 - OF_TRUE_CLASS], axis=2), [0, 0])


def costs(*parameters: int, latency_s: float = 1e-3) -> dict[str, TrialCost]:
    return {
        member(number).trial_id: TrialCost(each, 10 * each, latency_s, 64, 1e-4, 2**20, False)
        for number, each in enumerate(parameters)
    }


def choose(budget: dict[str, float], by_trial: dict[str, TrialCost] | None, **changes: object) -> tuple[int, ...]:
    config = EnsembleConfig.model_validate({"size": 4, "budget": budget, **changes})
    return tuple(POOL.position(each) for each in select(POOL, config, by_trial).members)


def test_only_who_fits_is_taken() -> None:
    assert choose({}, None) == (0,)
    assert choose({"parameters": 99}, costs(100, 50, 49, 1)) == (1, 2)
    assert choose({"parameters": 98}, costs(100, 50, 49, 1)) == (1,)
    assert choose({"flops": 10}, costs(100, 50, 49, 1)) == (3,)


def test_a_team_that_takes_exactly_what_it_may_fits() -> None:
    third = costs(3, 1, 2, 9, latency_s=0.1)
    assert choose({"latency_s": 0.1}, third) == (0,)
    assert choose({"parameters": 3, "latency_s": 0.2}, third) == (0,)
    assert choose({"parameters": 3, "latency_s": 0.2}, costs(4, 1, 2, 9, latency_s=0.1)) == (1, 2)


def test_a_member_of_the_team_may_be_picked_again_for_nothing() -> None:
    team = select(POOL, EnsembleConfig(size=4, budget=CostBudget(parameters=50)), costs(100, 50, 49, 1))
    assert team.picks == (member(1),) * 4


def test_many_cheap_ones_are_taken_where_they_are_better_than_one_dear_one() -> None:
    # The best alone uses the budget up. Two that err on different images cost a tenth of it each, and together are better.
    of_true_class = np.array([[0.8, 0.8], [0.99, 0.6], [0.6, 0.99], [0.5, 0.5]])
    pool = make_pool(np.stack([of_true_class, 1 - of_true_class], axis=2), [0, 0])
    assert select(pool, EnsembleConfig(size=1)).members == (member(0),)
    config = EnsembleConfig(size=4, budget=CostBudget(parameters=100))
    # By gain alone 0 is first and nobody fits beside it: .223. By gain for its price 1 and 2 are the team: log of .795: .229.
    assert select(pool, config, costs(100, 10, 10, 10)).members == (member(0),)
    of_true_class[1:3] = [[0.99, 0.63], [0.63, 0.99]]
    better = make_pool(np.stack([of_true_class, 1 - of_true_class], axis=2), [0, 0])
    assert set(select(better, config, costs(100, 10, 10, 10)).members) == {member(1), member(2)}


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1", "auc", "brier", "log_loss"])
@pytest.mark.parametrize("ties", ["caucus", "autogluon", "auto-sklearn"])
def test_no_team_by_any_metric_is_dearer_than_allowed(metric: str, ties: str) -> None:
    rng = np.random.default_rng(0)
    pool = make_pool(rng.dirichlet(np.ones(3), (6, 40)), rng.integers(0, 3, 40))
    prices = dict(zip(pool.members, (30, 20, 10, 40, 15, 25), strict=True))
    by_trial = costs(*prices.values())
    for select_by in ("greedy", "greedy-once"):
        config = EnsembleConfig.model_validate(
            {"size": 6, "metric": metric, "ties": ties, "select": select_by, "budget": {"parameters": 60}}
        )
        assert sum(prices[each] for each in select(pool, config, by_trial).members) <= 60


def test_no_candidate_fits() -> None:
    message = "ensemble.budget.parameters is 10, but none of 4 checkpoints fits; the nearest takes 20: raise"
    with pytest.raises(SweepFileError, match=message):
        choose({"parameters": 10}, costs(100, 50, 20, 30))


def test_costs_must_be_known() -> None:
    message = f"what 1 trials cost is not known, {member(3).trial_id} among them"
    with pytest.raises(SweepFileError, match=message):
        choose({"parameters": 1000}, costs(1, 1, 1))
    with pytest.raises(SweepFileError, match="what 4 trials cost is not known"):
        choose({"latency_s": 1}, None)


def test_of_two_teams_that_are_equally_good_the_one_by_gain_alone_stays() -> None:
    # 0 and 1 say the same, and 1 is ten times cheaper. By gain alone the lower number is picked, by gain for its price 1 is.
    told = np.array([[0.8, 0.8], [0.8, 0.8]])
    pool = make_pool(np.stack([told, 1 - told], axis=2), [0, 0])
    config = EnsembleConfig(size=2, budget=CostBudget(parameters=100))
    assert select(pool, config, costs(100, 10)).members == (member(0),)
