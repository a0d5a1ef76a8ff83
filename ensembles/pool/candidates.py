"""The candidates of a run: the checkpoints of its trials that may vote."""

from __future__ import annotations

from collections.abc import Iterable

from ensembles.config import PoolRule
from trainables.optim.schedule import snapshot_epochs
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord

SNAPSHOTS = 5
"""Candidates of a trial without a cyclic schedule, evenly spread: as many as Huang et al. (2017) take from a run."""


def candidates(records: Iterable[TrialRecord], pool: PoolRule) -> list[CheckpointId]:
    """The candidates in the order of `records`; those of one trial in the order of its epochs.

    best         each trial at its best epoch; a round of boosting at its last one, which the next round builds on
    every        every epoch of every trial
    snapshots    the last epoch of each cycle of a trial with a cyclic schedule, its newest epoch where it came to the end of
                 none; of other trials the ends of `SNAPSHOTS` equal parts of what was trained: of 25 epochs 5, 10, 15, 20
                 and 25, of three all
    """
    found = []
    for record in records:
        if pool == "best":
            epochs = [_of_one(record)] if record.best else []
        else:
            epochs = [result.epoch for result in record.epochs]
            epochs = epochs if pool == "every" else _snapshots(record, epochs)
        found += [CheckpointId(record.trial_id, epoch) for epoch in epochs]
    return found


def _of_one(record: TrialRecord) -> int:
    best = record.best
    if best is None or record.config.boost.kind != "none":
        return record.epochs[-1].epoch
    return best.epoch


def _snapshots(record: TrialRecord, epochs: list[int]) -> list[int]:
    if record.config.schedule.name == "cyclic":
        ends = set(snapshot_epochs(record.config, max(epochs, default=0)))
        return [epoch for epoch in epochs if epoch in ends] or epochs[-1:]
    count = len(epochs)
    parts = min(SNAPSHOTS, count)
    return [epochs[-(-count * part // parts) - 1] for part in range(1, parts + 1)]
