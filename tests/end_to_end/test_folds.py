"""A sweep over two folds: each is a run of its own, and the scores are told over both."""

from __future__ import annotations

import pytest

from runner.config.checks import read_spec
from runner.execution.prepare import prepare_run
from tests.sample_runs.sweeps import ROOT, caucus, run_sweep
from trainables.errors import SweepFileError

WORDS = [
    str(ROOT / "sweeps" / "digits.yaml"),
    "model.width=4",
    "model.blocks=1",
    "search.trials=2",
    "scheduler.method=none",
    "scheduler.max_epochs=1",
    "scheduler.grace_epochs=1",
    "data.train=300",
    "data.folds=2",
]


@pytest.mark.long
def test_each_fold_is_a_run_and_the_scores_are_told_over_both(tmp_path):
    words = [*WORDS, f"store={tmp_path / 'runs'}"]
    (line,) = [one for one in caucus("plan", *words, "--no-probe")["data"] if "fold" in one and "plan" in one]
    assert line == "this is the plan of fold 1: data.folds makes 2 such runs, one after the other"
    found = run_sweep(*words)
    first, second = found["folds"]
    assert first["run"] != second["run"]
    over_all = found["over_all_folds"]
    assert (over_all["folds"], over_all["images"], len(over_all["configurations"])) == (2, 1797, 2)
    right = sum(
        one["ensemble"]["test_accuracy"] * images for one, images in zip(found["folds"], (899, 898), strict=True)
    )
    assert over_all["change"]["after"] == pytest.approx(right / 1797, abs=2e-3)
    again = run_sweep(*words)
    assert [one["epochs_trained"] for one in again["folds"]] == [0, 0]
    assert again["over_all_folds"] == over_all


def test_who_runs_one_sweep_is_told_to_name_a_fold(tmp_path):
    spec = read_spec(WORDS[0], [*WORDS[1:], f"store={tmp_path / 'runs'}"])
    with pytest.raises(SweepFileError, match=r"data\.folds is 2, which is 2 runs.*name a fold with data.fold=1"):
        prepare_run(spec, None, None, print)
    assert not (tmp_path / "runs").exists()
