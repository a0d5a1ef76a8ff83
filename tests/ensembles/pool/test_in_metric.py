"""Trials of another sweep, or of an older version, are compared by the metric that is asked for now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.stored_run import write_stored_run
from ensembles.pool.in_metric import in_metric
from trainables.config.trial import TrialConfig
from trainables.data.data_table import DataTable, read_data_table
from trainables.metric import Metric
from trainables.results.checkpoint import CheckpointId, read_predictions
from trainables.results.config_file import read_config
from trainables.results.record import EpochResult, TrialRecord
from trainables.scores import measure
from trainables.store import layout
from trainables.store.folder import Folder


def refuse() -> DataTable:
    raise AssertionError("the data's record was read")


@pytest.fixture
def records(tmp_path: Path) -> list[TrialRecord]:
    write_stored_run(Folder(tmp_path), 3, 60, 3)
    epoch = EpochResult(1, 1.0, 0.5, 1.0, 0.9, 1.0, 1.0)
    configs = [read_config(Folder(tmp_path), name) for name in Folder(tmp_path).folders(layout.TRIALS)]
    return [TrialRecord(config, epochs=(epoch,)) for config in configs if isinstance(config, TrialConfig)]


@pytest.mark.parametrize("metric", ["log_loss", "balanced_accuracy", "brier"])
def test_epochs_without_the_metric_are_measured_from_their_predictions(
    metric: Metric, records: list[TrialRecord], tmp_path: Path
) -> None:
    store = Folder(tmp_path)
    table = read_data_table(store, store.folders("data/")[0])
    found = in_metric(records, metric, store, lambda: table)
    assert [one.config for one in found] == [one.config for one in records]
    for record in found:
        predicted = read_predictions(store, CheckpointId(record.trial_id, 1), "validation").probabilities
        assert record.epochs[0].metric == metric
        assert record.epochs[0].validation_score == measure(metric, predicted, table.labels_of("validation"))
    assert in_metric(found, metric, store, refuse) == found  # nothing is read again
    assert in_metric(found, "accuracy", store, refuse) == records


def test_an_epoch_without_predictions_comes_last_and_a_store_without_any_changes_nothing(
    records: list[TrialRecord], tmp_path: Path
) -> None:
    store = Folder(tmp_path)
    table = read_data_table(store, store.folders("data/")[0])
    gone = replace(
        records[0], epochs=(*records[0].epochs, replace(records[0].epochs[0], epoch=2, validation_accuracy=0.99))
    )
    (found,) = in_metric([gone], "macro_f1", store, lambda: table)
    assert found.epochs[1].validation_score is None
    assert found.best == found.epochs[0]
    lost = replace(gone, epochs=gone.epochs[1:])
    assert in_metric([lost], "macro_f1", store, lambda: table) == [lost]
    assert np.isfinite(lost.epochs[0].merit)
