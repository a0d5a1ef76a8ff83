"""`caucus diagnose`: on a run in a store, as JSON and as a table."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from runner.cli.main import app
from runner.cli.tables.diagnosis import show_diagnoses
from runner.evaluation.diagnosis import diagnose_run
from tests.sample_runs.sample_run import write_sample_run
from trainables.results.record import rank

KEYS = ["trial_id", "verdict", "evidence", "patch"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_sample_run(tmp_path_factory.mktemp("store") / "runs")


def ask(run, *options):
    answer = CliRunner().invoke(app, ["diagnose", "dots", "--store", str(run.store.root), *options])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_every_trial_has_one_verdict_as_json(run):
    answers = json.loads(ask(run, "--json"))
    assert [one["trial_id"] for one in answers] == [one.trial_id for one in rank(list(run.state.trials.values()))]
    assert all(list(one)[:4] == KEYS for one in answers)
    (diverged,) = [one for one in answers if one["verdict"] != "unknown"]
    assert diverged["trial_id"] == run.trials[4].trial_id
    assert diverged["verdict"] == "rate-too-high"
    assert diverged["evidence"] == {"reason": "loss is [red]nan[/red] in epoch 1: lower optimizer.lr"}
    assert diverged["patch"] == {"optimizer.lr": run.trials[4].optimizer.lr / 10}


def test_the_table_shows_the_same_and_how_many_are_left_out(run):
    answers = ask(run)
    for trial in run.trials:
        assert trial.trial_id in answers
    assert "and 6 more" in ask(run, "-n", "1")


def test_text_from_others_is_no_markup(run):
    screen = io.StringIO()
    Console(file=screen, width=250).print(show_diagnoses(diagnose_run(run.store, run.state), 20, "dots"))
    assert "loss is [red]nan[/red] in epoch 1" in screen.getvalue()
    assert "optimizer.lr=0.01" in screen.getvalue()


def test_nothing_is_written(run):
    before = run.files()
    ask(run, "--json")
    assert run.files() == before
