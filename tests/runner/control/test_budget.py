import math

import pytest

from runner.config.run import BudgetConfig
from runner.control.budget import Budget, time_left_s
from runner.journal.events import EpochReported, NodesChanged, RunOpened, TrialPlanned
from runner.journal.journal import UnwrittenJournal
from runner.journal.log import RunLog
from runner.journal.state import RunState
from tests.sample_runs.sample_run import make_result, make_spec, make_trial

TRIAL = make_trial(1)


def state_of(*epochs):
    """A run whose only trial has the given epochs: (elapsed seconds, seconds of training); each is half as long evaluated."""
    events = [
        RunOpened(at_unix_s=1, elapsed_s=0.0, versions={}, slots=2),
        TrialPlanned(
            at_unix_s=1, elapsed_s=0.0, trial_id=TRIAL.trial_id, config=TRIAL.model_dump(exclude_defaults=True)
        ),
    ]
    for epoch, (elapsed_s, seconds) in enumerate(epochs, start=1):
        result = make_result(epoch, 0.5, seconds=seconds)
        events.append(
            EpochReported(at_unix_s=1, elapsed_s=elapsed_s, trial_id=TRIAL.trial_id, result=result, trained=True)
        )
    return RunState(events)


@pytest.mark.parametrize(
    ("caps", "spent"),
    [
        ({}, ""),
        ({"epochs": 3}, ""),
        ({"epochs": 2}, "budget.epochs is 2"),
        ({"slot_hours": 1.0}, "budget.slot_hours is 1"),  # 2400 + 1200 s are one hour
        ({"slot_hours": 1.01}, ""),
        ({"money": 3.0}, "budget.money is 3"),  # 1800 s at 6 an hour
        ({"money": 3.01}, ""),
        ({"wall": 1.0}, ""),  # the caller's
    ],
)
def test_a_cap_is_spent_once_it_is_reached(caps, spent):
    state = state_of((600.0, 1200.0), (1800.0, 1200.0))
    assert Budget(BudgetConfig(**caps), price=6.0).spent(state, 1800.0) == spent


def test_money_counts_nodes_while_they_are_there_and_the_time_since_the_last_event():
    state = state_of((1800.0, 10.0))  # half an hour of one node
    state.apply(NodesChanged(at_unix_s=1, elapsed_s=3600.0, nodes=3))
    budget = Budget(BudgetConfig(money=100.0), price=2.0)
    assert budget.cost(state, 3600.0) == pytest.approx(2.0)
    assert budget.cost(state, 5400.0) == pytest.approx(2.0 + 3.0)


def test_a_run_that_continues_is_paid_for_on_one_node_until_they_are_counted_again():
    state = state_of((3600.0, 10.0))
    state.apply(NodesChanged(at_unix_s=1, elapsed_s=3600.0, nodes=4))
    state.apply(RunOpened(at_unix_s=1, elapsed_s=3600.0, versions={}, slots=2))
    assert Budget(BudgetConfig(), price=1.0).cost(state, 7200.0) == pytest.approx(2.0)


def test_epochs_of_former_executions_count():
    state = state_of((10.0, 1.0), (20.0, 1.0))
    state.apply(RunOpened(at_unix_s=1, elapsed_s=20.0, versions={}, slots=2))
    assert state.epochs_trained == 0
    assert Budget(BudgetConfig(epochs=2), None).spent(state, 20.0)


def test_the_tightest_cap_bounds_the_time_left():
    state = state_of((600.0, 400.0))  # 600 slot-seconds
    bound = Budget(BudgetConfig(wall=3600.0, slot_hours=0.5), None).seconds_left(state, slots=2)
    assert bound == pytest.approx((1800.0 - 600.0) / 2)
    assert Budget(BudgetConfig(wall=900.0, slot_hours=0.5), None).seconds_left(state, slots=2) == pytest.approx(300.0)
    assert Budget(BudgetConfig(money=1.0), price=2.0).seconds_left(state, slots=2) == pytest.approx(1200.0)
    assert Budget(BudgetConfig(), None).seconds_left(state, slots=2) is None


def test_money_that_is_spent_leaves_less_time_and_more_nodes_leave_less_still():
    """Half an hour of one node at 2 an hour is spent; 3 in money leave an hour of one node, or a third of it on three."""
    state = state_of((1800.0, 10.0))
    budget = Budget(BudgetConfig(money=3.0), price=2.0)
    assert budget.seconds_left(state, slots=2) == pytest.approx(5400.0 - 1800.0)
    state.apply(NodesChanged(at_unix_s=1, elapsed_s=1800.0, nodes=3))
    assert budget.seconds_left(state, slots=2) == pytest.approx((5400.0 - 1800.0) / 3)


def test_money_bounds_the_time_only_with_a_price_and_a_cap():
    state = state_of((600.0, 400.0))
    assert Budget(BudgetConfig(money=1.0), price=None).seconds_left(state, slots=2) is None
    assert Budget(BudgetConfig(), price=2.0).seconds_left(state, slots=2) is None
    assert Budget(BudgetConfig(money=1.0), price=None).cost(state, 600.0) == 0.0
    state.apply(NodesChanged(at_unix_s=1, elapsed_s=600.0, nodes=0))  # they come back, one at least
    assert Budget(BudgetConfig(money=1.0), price=2.0).seconds_left(state, slots=2) == pytest.approx(1200.0)


def test_a_time_before_the_last_event_gives_no_money_back():
    state = state_of((1800.0, 10.0))
    assert Budget(BudgetConfig(), price=2.0).cost(state, 1799.5) == 1.0
    assert Budget(BudgetConfig(), price=2.0).cost(state, 0.0) == 1.0


@pytest.mark.parametrize(
    ("wall", "elapsed_s", "left_s"),
    [
        (None, 500.0, math.inf),
        (40.0, 10.0, 40 - 10 - 10.0),  # a quarter is reserved for what comes after the training
        (80.0, 0.0, 60.0),
        (3600.0, 100.0, 3600 - 20 - 100.0),  # but no more than 20 s
        (40.0, 35.0, -5.0),
    ],
)
def test_a_part_of_the_wall_budget_is_reserved_for_the_end(wall, elapsed_s, left_s):
    opened = RunOpened(at_unix_s=1, elapsed_s=elapsed_s, versions={}, slots=2)
    log = RunLog(UnwrittenJournal([opened]), [], clock=lambda: 7.0)
    spec = make_spec("runs", budget={} if wall is None else {"wall": wall})
    assert time_left_s(spec, log) == pytest.approx(left_s)


def test_no_time_is_left_where_more_is_spent_than_there_was():
    state = state_of((600.0, 400.0))
    assert Budget(BudgetConfig(wall=100.0), None).seconds_left(state, slots=2) == 0.0
