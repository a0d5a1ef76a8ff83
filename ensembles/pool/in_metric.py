"""Trials whose epochs are compared by one metric: those of another sweep, or of an older version, are measured from their predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain

from ensembles.pool.alignment import SplitImages, images_of, predictions_of, read_in_order
from trainables.data.data_table import DataTable
from trainables.metric import Metric
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import EpochResult, TrialRecord
from trainables.scores import measure
from trainables.store.base import Store


def in_metric(
    records: Iterable[TrialRecord], metric: Metric, store: Store, read_table: Callable[[], DataTable]
) -> list[TrialRecord]:
    """`records` with `metric` of each epoch on validation, in their order.

    What is on record already is taken as it is; `read_table` is called, and predictions are read, only where an epoch has no such
    score. An epoch whose predictions are gone has none afterwards: it is the last of its trial, and could not vote anyway. If
    nothing at all can be measured, the epochs stay as they are. Raises `StoreError` if the store does not answer.
    """
    found = list(records)
    if metric == "accuracy":
        return [_change(record, _forget) if any(at.metric for at in record.epochs) else record for record in found]
    missing = {
        CheckpointId(record.trial_id, at.epoch): at
        for record in found
        for at in record.epochs
        if at.metric != metric or at.validation_score is None
    }
    if not missing:
        return found
    images = images_of(read_table(), "validation")
    scores = dict(read_in_order(lambda member: _measure(store, member, images, metric), missing))
    if all(score is None for score in scores.values()) and len(scores) == len(
        list(chain(*(one.epochs for one in found)))
    ):
        return found

    def score(trial_id: str) -> Callable[[EpochResult], EpochResult]:
        def change(at: EpochResult) -> EpochResult:
            name = CheckpointId(trial_id, at.epoch)
            return replace(at, metric=metric, validation_score=scores[name]) if name in missing else at

        return change

    return [_change(record, score(record.trial_id)) for record in found]


def _measure(store: Store, member: CheckpointId, images: SplitImages, metric: Metric) -> float | None:
    predictions = predictions_of(store, member, images)
    return None if isinstance(predictions, str) else measure(metric, predictions.probabilities, images.labels)


def _forget(at: EpochResult) -> EpochResult:
    return replace(at, metric=None, validation_score=None)


def _change(record: TrialRecord, change: Callable[[EpochResult], EpochResult]) -> TrialRecord:
    return replace(record, epochs=tuple(map(change, record.epochs)))
