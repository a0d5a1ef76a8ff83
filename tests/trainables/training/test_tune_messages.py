"""Tasks and reports come through Tune's flat mappings as they were."""

from __future__ import annotations

import json

import pytest

from tests.trainables.training.tiny_trials import make_config
from trainables.results.record import EpochResult, TrialCost
from trainables.training.tune_messages import TuneReport, TuneTask

EPOCH = EpochResult(2, 0.5, 0.8, 0.6, 0.7, 1.5, 0.25, fit_accuracy=0.9)
COST = TrialCost(10, 100, 0.1, 64, 0.01, 2**20, False)


@pytest.mark.parametrize(
    "task",
    [
        TuneTask("a", make_config(), after_epoch=3, left_s=12.5),
        TuneTask("a", make_config()),
        TuneTask("range-x", make_config(), range_test="x"),
        TuneTask("standby", standby_s=0.2),
    ],
)
def test_a_task_is_read_back_as_it_was(task: TuneTask) -> None:
    config = task.to_config()
    assert TuneTask.from_config(config) == task
    assert TuneTask.is_standby(config) == (task.trial is None)
    assert all(isinstance(value, str | int | float) for value in config.values())


@pytest.mark.parametrize(
    "report",
    [
        TuneReport("a", unfit="no GPU"),
        TuneReport("standby", standby=True),
        TuneReport("range-x", range_test={"key": "x", "high": 0.1, "rates": [0.1]}, trained=True),
        TuneReport("a", leaving="AWS says terminate"),
        TuneReport("a", end="diverged", reason="loss is nan"),
        TuneReport("a", end="stopped", reason="the budget ran out in epoch 2", by_budget=True),
        TuneReport("a", epoch=EPOCH, trained=True, cost=COST),
        TuneReport("a", epoch=EPOCH),
    ],
)
def test_a_report_is_read_back_as_it_was_beside_the_keys_of_tune(report: TuneReport) -> None:
    result = report.to_result() | {"training_iteration": 3, "trial_id": "t1", "config": {}, "done": False}
    assert TuneReport.from_result(result) == report
    assert json.dumps(report.to_result())
