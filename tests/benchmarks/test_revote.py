"""The measured vote is the command's own, on a run that it can read."""

from __future__ import annotations

from pathlib import Path

from benchmarks.revote import measure
from benchmarks.stored_run import HastyFolder, write_stored_run
from runner.runs.locate import locate
from runner.runs.stored_run import load_run
from trainables.results.checkpoint import CheckpointId, read_part, read_predictions, read_true_class


def test_a_stored_run_is_one_that_any_reader_takes(tmp_path: Path) -> None:
    store = HastyFolder(tmp_path)
    run, spec = write_stored_run(store, checkpoints=5, images=40, classes=3)
    stored = load_run(locate(run, str(tmp_path), None), ["size=2"])
    assert stored.ensemble.size == 2
    assert stored.spec is not None
    assert stored.spec.name == spec.name
    records = list(stored.state.trials.values())
    assert [(record.state, len(record.epochs), record.cost is not None) for record in records] == [
        ("finished", 1, True)
    ] * 5
    for record in records:
        checkpoint = CheckpointId(record.trial_id, 1)
        assert read_predictions(store, checkpoint, "test").probabilities.shape == (40, 3)
        truth = read_true_class(store, checkpoint, "validation")
        assert record.best is not None
        assert 0.4 < record.best.validation_accuracy < 1
        assert truth.true_class.shape == (40,)
        assert read_part(store, checkpoint, "weights.safetensors") == b"weights"


def test_the_figure_has_the_time_of_its_stages() -> None:
    figure = measure(checkpoints=6, images=50, classes=3, overrides=["size=2", "bootstraps=0"], times=1)[
        "select/revote_6"
    ]
    assert figure["goal"] == 5
    assert figure["value"] > 0.2
    assert 1 <= figure["members"] <= 2
    assert {"import", "journal", "select"} <= set(figure["spent_under_profiler_s"])
