"""Who could vote, of the trials of a run."""

from __future__ import annotations

import pytest

from ensembles.pool.candidates import candidates
from trainables.config.training import ScheduleConfig
from trainables.config.trial import TrialConfig
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import EpochResult, TrialRecord


def result(epoch: int, accuracy: float) -> EpochResult:
    return EpochResult(epoch, 1.0, 0.5, 1.0, accuracy, 1.0, 1.0)


def test_candidates_are_the_best_epochs_or_all() -> None:
    records = [
        TrialRecord(
            TrialConfig(data_id="d1", seed=2), "finished", "", (result(1, 0.5), result(2, 0.7), result(3, 0.7))
        ),
        TrialRecord(TrialConfig(data_id="d1", seed=0), "failed", "out of memory"),
        TrialRecord(TrialConfig(data_id="d1", seed=1), "pruned", "", (result(1, 0.9),)),
    ]
    first, _, third = (record.trial_id for record in records)
    assert candidates(records, "best") == [CheckpointId(first, 2), CheckpointId(third, 1)]
    every = [CheckpointId(first, 1), CheckpointId(first, 2), CheckpointId(first, 3), CheckpointId(third, 1)]
    assert candidates(records, "every") == every


@pytest.mark.parametrize(
    ("trained", "snapshots"),
    [
        (0, []),
        (1, [1]),
        (3, [1, 2, 3]),
        (5, [1, 2, 3, 4, 5]),
        (6, [2, 3, 4, 5, 6]),
        (9, [2, 4, 6, 8, 9]),
        (25, [5, 10, 15, 20, 25]),
    ],
)
def test_snapshots_of_a_trial_without_cycles_are_spread_evenly(trained: int, snapshots: list[int]) -> None:
    config = TrialConfig(data_id="d1", seed=0)
    record = TrialRecord(config, "pruned", "", tuple(result(epoch, 0.5) for epoch in range(1, trained + 1)))
    assert candidates([record], "snapshots") == [CheckpointId(config.trial_id, epoch) for epoch in snapshots]


@pytest.mark.parametrize(
    ("trained", "snapshots"),
    [(0, []), (1, [1]), (2, [2]), (3, [3]), (5, [3]), (7, [3, 6]), (8, [3, 6, 8])],
    ids=str,
)
def test_snapshots_of_a_cyclic_schedule_are_the_ends_of_its_cycles(trained: int, snapshots: list[int]) -> None:
    config = TrialConfig(data_id="d1", seed=0, schedule=ScheduleConfig(name="cyclic", cycles=3, epochs=8))
    record = TrialRecord(config, "pruned", "", tuple(result(epoch, 0.5) for epoch in range(1, trained + 1)))
    assert candidates([record], "snapshots") == [CheckpointId(config.trial_id, epoch) for epoch in snapshots]


def test_snapshots_of_a_stretch_are_of_its_own_epochs() -> None:
    config = TrialConfig(data_id="d1", seed=0)
    record = TrialRecord(config, "finished", "", tuple(result(epoch, 0.5) for epoch in range(11, 21)))
    assert [each.epoch for each in candidates([record], "snapshots")] == [12, 14, 16, 18, 20]
