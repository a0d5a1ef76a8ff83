import io
from dataclasses import replace

import pyarrow.parquet as pq

from runner.runs.epoch_table import SCHEMA, to_parquet
from tests.sample_runs.sample_run import make_result, make_trial
from trainables.results.record import TrialRecord


def read(records, train_images=100):
    return pq.read_table(io.BytesIO(to_parquet(records, train_images)))


def test_a_row_is_an_epoch_with_all_that_was_watched():
    first = replace(make_result(1, 0.5), train_s=2.0, fit_loss=0.25, dead_share=0.125)
    trial = make_trial(7)
    table = read([TrialRecord(trial, "finished", "", (first, make_result(2, 0.9)))])
    assert table.schema.equals(SCHEMA)
    one, two = table.to_pylist()
    assert (one["trial_id"], one["epoch"], one["fit_loss"], one["dead_share"]) == (trial.trial_id, 1, 0.25, 0.125)
    assert (two["epoch"], two["validation_accuracy"], two["fit_loss"]) == (2, 0.9, None)


def test_images_a_second_are_those_of_full_batches_of_the_share_that_is_trained_on():
    # 0.5 of 100 images: 50, in batches of 16 three full ones, 48 images in 2 s.
    trial = make_trial(1)
    trial = trial.model_copy(
        update={"train_share": 0.5, "optimizer": trial.optimizer.model_copy(update={"batch_size": 16})}
    )
    result = replace(make_result(1, 0.5), train_s=2.0)
    outcome = read([TrialRecord(trial, "finished", "", (result, replace(result, epoch=2, train_s=0.0)))])
    assert outcome["images_per_s"].to_pylist() == [24.0, None]
    labelled = trial.model_copy(update={"pseudo_table": "0123456789abcdef"})
    assert read([TrialRecord(labelled, "finished", "", (result,))])["images_per_s"].to_pylist() == [None]


def test_a_run_without_an_epoch_is_a_table_without_a_row():
    assert (read([]).num_rows, read([]).schema) == (0, SCHEMA)
