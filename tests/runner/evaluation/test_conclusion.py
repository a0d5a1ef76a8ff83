import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import runner.evaluation.conclusion
import runner.evaluation.team
from ensembles.analysis.search_summary import SearchSummary
from ensembles.config import EnsembleConfig
from ensembles.evaluation.verdict import from_json
from runner.evaluation.conclusion import choose_and_evaluate, publish, render, write_report
from runner.runs.stored_run import NothingToVote, StoredRun, load_run
from tests.ensembles.samples import make_run, make_summary
from tests.sample_runs.sample_run import open_log, write_sample_run
from trainables.errors import DamagedObject, SweepFileError
from trainables.results.checkpoint import CheckpointId, read_predictions, write_checkpoint
from trainables.results.predictions import to_arrow
from trainables.results.record import rank
from trainables.store import layout
from trainables.store.json_records import get_json


@pytest.fixture
def run(tmp_path):
    return write_sample_run(tmp_path)


def right(run, member, split):
    """Which images of `split` the checkpoint `member` is right on."""
    labels = run.images.labels[run.images.rows(split)]
    return read_predictions(run.store, member, split).probabilities.argmax(1) == labels


def best_of(run):
    return [CheckpointId(record.trial_id, record.best.epoch) for record in run.state.trials.values() if record.best]


def test_a_stored_run_is_loaded_with_its_ensemble_state_and_command(run):
    stored = load_run(run.found, [])
    assert stored.run == f"dots/{run.run_id}"
    assert stored.ensemble == run.spec.ensemble == EnsembleConfig(size=3)
    assert stored.command == "caucus run x.yaml"
    assert stored.state.trials == run.state.trials
    assert stored.key(layout.REPORT) == f"sweeps/dots/{run.run_id}/report.html"


@pytest.mark.parametrize("override", ["size=4", "ensemble.size=4"])
def test_an_override_changes_the_ensemble_of_the_file(run, override):
    assert load_run(run.found, [override]).ensemble == EnsembleConfig(size=4)
    assert load_run(run.found, [override, "ensemble.vote=hard", "select=top"]).ensemble == EnsembleConfig(
        size=4, vote="hard", select="top"
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ensemble.sise=4", "ensemble.sise: no such key; did you mean size?"),
        ("sise=4", "ensemble.sise: no such key; did you mean size?"),
        (
            "zebra=4",
            "ensemble.zebra: no such key; known are select, size, vote, metric, pool, runs, ",
        ),
        ("size=0", "ensemble.size is 0: must be greater than or equal to 1"),
        ("size=many", "ensemble.size is 'many': must be a valid integer"),
        (
            "vote=loud",
            "ensemble.vote is 'loud': must be 'hard', 'majority', 'soft', 'geometric', 'weighted', 'confidence', 'rank', 'stacked', module:function or package/name",
        ),
        ("size", "'size' is no override: write key=value"),
    ],
)
def test_an_override_that_is_wrong_is_refused_with_what_to_do(run, override, message):
    with pytest.raises(SweepFileError, match=message.replace("?", r"\?")):
        load_run(run.found, [override])


def test_a_damaged_sweep_record_is_an_error_that_names_it(run):
    run.store.put(layout.run_key("dots", run.run_id, layout.SWEEP), b"{")
    with pytest.raises(DamagedObject, match=r"sweep\.json is not readable"):
        load_run(run.found, [])


def test_the_team_is_selected_on_validation_and_evaluated_on_test(run):
    conclusion = choose_and_evaluate(load_run(run.found, ["select=top", "size=2", "vote=soft"]))
    members = sorted(best_of(run), key=lambda member: -right(run, member, "validation").mean())[:2]
    assert conclusion.team.members == tuple(members)
    assert conclusion.best == members[0]
    assert conclusion.verdict.best.validation_accuracy == right(run, members[0], "validation").mean()
    assert conclusion.verdict.best.test_accuracy == right(run, members[0], "test").mean()
    labels = run.images.labels[run.images.rows("test")]
    soft = np.mean([read_predictions(run.store, member, "test").probabilities for member in members], axis=0)
    assert conclusion.verdict.votes["soft"].test_accuracy == (soft.argmax(1) == labels).mean()
    assert conclusion.records == rank(list(run.state.trials.values()))
    assert conclusion.table.class_names == run.images.class_names
    assert conclusion.left_out == ()


def test_predictions_on_test_are_opened_after_everything_is_chosen(run, monkeypatch):
    done = []
    for name in ("select", "correct", "prepare", "evaluate_prepared"):  # voters and calibration are fitted by `prepare`
        original = getattr(runner.evaluation.team, name)

        def log_call(*arguments, name=name, original=original):
            done.append(name)
            return original(*arguments)

        monkeypatch.setattr(runner.evaluation.team, name, log_call)
    original_get = type(run.store).get

    def get(store, key):
        done.extend(["test"] if key.endswith("/test.arrow") else [])
        return original_get(store, key)

    monkeypatch.setattr(type(run.store), "get", get)
    choose_and_evaluate(load_run(run.found, []))
    assert done[:3] == ["select", "correct", "prepare"]
    assert done[-1] == "evaluate_prepared"
    assert set(done[3:-1]) == {"test"}


def test_predictions_on_test_change_no_choice(run):
    before = choose_and_evaluate(load_run(run.found, []))
    for member in best_of(run):
        parts = {
            name: run.store.get(member.key(name)) for name in get_json(run.store, member.key(layout.MANIFEST))["parts"]
        }
        test = read_predictions(run.store, member, "test")
        parts["test.arrow"] = to_arrow(replace(test, probabilities=np.roll(test.probabilities, 1, axis=1)))
        run.store.delete(member.key(layout.MANIFEST))  # what is whole would stay as it is
        write_checkpoint(run.store, member, parts)
    changed = choose_and_evaluate(load_run(run.found, []))
    assert (changed.team, changed.best) == (before.team, before.best)
    assert changed.verdict.best.test_accuracy < 0.5 < before.verdict.best.test_accuracy


def test_every_checkpoint_of_every_trial_may_vote(run):
    stored = load_run(run.found, ["pool=every", "select=all"])
    assert len(choose_and_evaluate(stored).team.members) == 9
    assert len(choose_and_evaluate(load_run(run.found, ["select=all"])).team.members) == 4


def test_a_checkpoint_that_is_not_there_is_left_out_and_named(run):
    gone = choose_and_evaluate(load_run(run.found, [])).best
    run.store.delete(gone.key(layout.MANIFEST))
    conclusion = choose_and_evaluate(load_run(run.found, []))
    assert [member for member, _ in conclusion.left_out] == [gone]
    assert conclusion.best != gone
    assert gone not in conclusion.team.members


def test_a_run_without_an_epoch_has_nothing_to_vote_with_and_says_why(run):
    log = open_log(run.store, "dots", "r2")
    stored = StoredRun(run.store, "dots", "r2", log.state, EnsembleConfig(), "")
    with pytest.raises(NothingToVote, match="dots/r2 has nothing to vote with: no trial has come to the end of an epo"):
        choose_and_evaluate(stored)
    log.plan(run.trials)
    by_name = sorted(run.trials, key=lambda trial: trial.trial_id)
    log.end(by_name[2].trial_id, "failed", "later")
    log.end(by_name[1].trial_id, "diverged", "loss is nan in epoch 1")
    with pytest.raises(NothingToVote, match=r"dots/r2 has nothing to vote with: loss is nan in epoch 1$"):
        choose_and_evaluate(stored)


def test_publishing_writes_ensemble_table_and_report_and_nothing_else(run):
    before = run.files()
    stored = load_run(run.found, ["size=2"])
    conclusion = choose_and_evaluate(stored)
    assert run.files() == before  # choosing alone writes nothing
    where = publish(stored, conclusion, stored.note)
    assert where == f"runs/sweeps/dots/{run.run_id}/report.html"
    after = run.files()
    left = [key for key in after if key.startswith(f"data/{conclusion.table.data_id}/")]
    assert {
        key: after.pop(stored.key(key)) != b""
        for key in ("ensemble.json", "trials.parquet", "epochs.parquet", "report.html", "report.json", "missed.csv")
    }
    for key in left:  # what is known of the data: how often it decided, and means that a revote need not make again
        if "/ledger/" in key or "/means/" in key:
            del after[key]
    assert sum("/ledger/" in key for key in left) == 2
    assert after == before


def test_what_was_published_can_be_read_back(run):
    stored = load_run(run.found, ["size=2"])
    conclusion = choose_and_evaluate(stored)
    publish(stored, conclusion, stored.note)
    record = get_json(run.store, stored.key(layout.ENSEMBLE))
    assert EnsembleConfig.model_validate(record["config"]) == EnsembleConfig(size=2)
    assert from_json(record) == (conclusion.verdict, conclusion.team)
    table = pq.read_table(io.BytesIO(run.store.get(stored.key(layout.TRIALS_TABLE))))
    assert table["trial_id"].to_pylist() == [record.trial_id for record in conclusion.records]
    assert "test_accuracy" not in table.column_names


def test_the_report_describes_the_run_and_escapes_what_others_wrote(run):
    stored = load_run(run.found, [])
    text = render(stored, choose_and_evaluate(stored), stored.note)
    assert f"dots/{run.run_id}" in text
    assert "caucus run x.yaml" in text
    assert "the budget ran out" in text  # the reason of the run's close
    assert all(trial.trial_id in text for trial in run.trials)
    assert "&lt;b&gt;star" in text
    assert "<b>star" not in text


def test_publishing_twice_gives_the_same_bytes(run):
    stored = load_run(run.found, [])
    publish(stored, choose_and_evaluate(stored), stored.note)
    before = run.files()
    again = load_run(run.found, [])
    publish(again, choose_and_evaluate(again), again.note)
    assert run.files() == before


def test_a_report_can_be_written_to_a_file_instead(run, tmp_path):
    stored = load_run(run.found, [])
    conclusion, path = choose_and_evaluate(stored), str(tmp_path / "x.html")
    before = run.files()
    assert write_report(stored, conclusion, stored.note, Path(path)) == path
    assert (tmp_path / "x.html").read_text(encoding="utf-8") == render(stored, conclusion, stored.note)
    (tmp_path / "x.html").unlink()
    assert run.files() == before
    with pytest.raises(SweepFileError, match=r"--out is '.*none/x\.html': cannot be written \(No such file"):
        write_report(stored, conclusion, "", tmp_path / "none" / "x.html")


@pytest.mark.parametrize(
    "module",
    [
        "runner.evaluation.conclusion",
        "runner.runs.locate",
        "runner.runs.status",
        "runner.plan.plan",
        "runner.cli.main",
        "runner.cli.tables.result",
    ],
)
def test_reading_a_run_imports_no_torch_no_ray_and_no_boto3(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'torchvision', 'ray', 'boto3', 'botocore'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_voting_on_a_stored_run_imports_no_torch_no_ray_and_no_boto3(run, tmp_path):
    code = (
        "import sys\nfrom runner.cli.main import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "print(sorted({'torch', 'torchvision', 'ray', 'boto3', 'botocore'} & set(sys.modules)))"
    )
    arguments = ["ensemble", "dots", "size=2", "--json", "--store", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_an_ablation_is_published_in_figures_and_no_other_run_has_one(run, monkeypatch):
    stored = load_run(run.found, [])
    conclusion = choose_and_evaluate(stored)
    publish(stored, conclusion, "")
    assert "ablation" not in get_json(run.store, stored.key(layout.ENSEMBLE))
    summary = make_summary(make_run())
    monkeypatch.setattr(
        runner.evaluation.conclusion, "summarise_search", lambda state, spec: SearchSummary(ablation=summary.ablation)
    )
    publish(stored, conclusion, "")
    record = get_json(run.store, stored.key(layout.ENSEMBLE))
    assert record["ablation"]["rows"][0]["name"] == "dropout"
    assert record["ablation"]["levels"][0]["validation"]["value"] == summary.ablation.levels[0].validation.value
    assert from_json(record) == (conclusion.verdict, conclusion.team)  # other keys are passed over
