import io
import json

import pyarrow.parquet as pq

from runner.runs.trial_table import to_parquet
from tests.sample_runs.sample_run import ENDS, RATES, make_result, make_trial, write_sample_run
from trainables.config.model import ModelConfig
from trainables.config.trial import TrialConfig
from trainables.results.record import TrialCost, TrialRecord, rank


def read(records):
    return pq.read_table(io.BytesIO(to_parquet(records)))


def test_a_row_holds_what_became_of_a_trial():
    trial = make_trial(7, model=ModelConfig(width=8))
    record = TrialRecord(trial, "finished", "", (make_result(1, 0.5), make_result(2, 0.9, 0.25), make_result(3, 0.8)))
    (row,) = read([record]).to_pylist()
    config = row.pop("config")
    shown = {key: value for key, value in row.items() if "." not in key}
    assert shown == {
        "rank": 1,
        "trial_id": trial.trial_id,
        "state": "finished",
        "reason": "",
        "epochs": 3,
        "best_epoch": 2,
        "validation_accuracy": 0.9,
        "validation_loss": 0.25,
        "busy_s": 4.5,
        "data_id": trial.data_id,
        "seed": 7,
        "train_share": 1.0,
        "pseudo_table": "",
        "precision": "auto",
        "parent": None,
        "code": "",
    }
    assert row["model.width"] == 8
    assert row["optimizer.lr"] == trial.optimizer.lr
    assert TrialConfig.model_validate(json.loads(config)) == trial


def test_every_trial_of_a_run_has_a_row_in_the_given_order(tmp_path):
    records = rank(list(write_sample_run(tmp_path).state.trials.values()))
    table = read(records)
    assert table["trial_id"].to_pylist() == [record.trial_id for record in records]
    assert table["rank"].to_pylist() == [1, 2, 3, 4, 5, 6, 7]
    assert sorted(table["state"].to_pylist()) == sorted([*(state for _, state, _ in ENDS), "waiting"])
    assert sorted(table["optimizer.lr"].to_pylist()) == sorted(RATES)


def test_a_trial_without_an_epoch_has_empty_cells():
    (row,) = read([TrialRecord(make_trial(), "failed", "boom")]).to_pylist()
    assert (row["best_epoch"], row["validation_accuracy"], row["epochs"], row["busy_s"]) == (None, None, 0, 0)
    assert row["reason"] == "boom"


def test_the_cost_of_a_net_and_keys_of_custom_models_have_columns():
    cost = TrialCost(650, 1300, 1e-5, 64, 1e-4, 2**20, False)
    custom = [ModelConfig(name="a:b", **keys) for keys in ({"stem": "x"}, {"stem": 3}, {"depth": 2})]
    records = [TrialRecord(make_trial(), cost=cost), *(TrialRecord(make_trial(model=model)) for model in custom)]
    table = read(records)
    assert table["cost.parameters"].to_pylist() == [650, None, None, None]
    assert table["cost.step_bytes_measured"].to_pylist() == [False, None, None, None]
    assert table["model.stem"].to_pylist() == [None, "x", "3", None]  # of several kinds: as text
    assert table["model.depth"].to_pylist() == [None, None, None, 2]


def test_a_number_that_no_column_holds_is_a_text():
    custom = [ModelConfig(name="a:b", stem=number) for number in (2**63, -1)]
    table = read([TrialRecord(make_trial(model=model)) for model in custom])
    assert table["model.stem"].to_pylist() == ["9223372036854775808", "-1"]
