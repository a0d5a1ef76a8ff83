import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ensembles.voting.vote import VOTES
from runner.cli.main import app
from runner.cli.tables.revote import show_revote
from runner.evaluation.conclusion import choose_and_evaluate, publish
from runner.evaluation.revote import revote_to_json, vote_again
from runner.runs.stored_run import load_run
from tests.sample_runs.sample_run import write_sample_run
from trainables.errors import StoreError
from trainables.store.folder import Folder


@pytest.fixture
def run(tmp_path):
    return write_sample_run(tmp_path)


def show(revote, width):
    console = Console(width=width, file=io.StringIO())
    show_revote(revote, console)
    return console.file.getvalue()


def test_the_configured_choice_stands_with_every_vote_and_the_others_with_its_vote(run):
    revote = vote_again(load_run(run.found, ["vote=geometric"]))
    rows = [(row.team.how, row.vote) for row in revote.rows]
    assert rows == [("greedy", vote) for vote in VOTES] + [(how, "geometric") for how in ("best", "top", "all")]
    assert [row.vote for row in revote.rows if row.configured] == ["geometric"]


def test_the_json_has_every_documented_key_and_the_figures_of_the_verdict(run):
    revote = vote_again(load_run(run.found, ["size=2"]))
    payload = json.loads(json.dumps(revote_to_json(revote), allow_nan=False))
    verdict, table = revote.conclusion.verdict, revote.conclusion.table
    assert (payload["run"], payload["data_id"]) == (f"dots/{run.run_id}", table.data_id)
    row = next(row for row in payload["choices"] if row["configured"])
    score = verdict.votes["soft"]
    assert (row["select"], row["vote"], row["metric"]) == ("greedy", "soft", "log_loss")
    assert row["members"] == [
        {"trial_id": member.trial_id, "epoch": member.epoch, "weight": weight}
        for member, weight in zip(revote.conclusion.team.members, revote.conclusion.team.weights, strict=True)
    ]
    assert row["validation"]["selected"] == score.validation_accuracy
    assert row["validation"]["corrected"] == score.corrected.value
    assert row["validation"]["ci95"] == list(score.corrected.ci95)
    test = row["test"]
    assert (test["accuracy"], test["ci95"], test["nll"]) == (score.test_accuracy, list(score.ci95), score.test_nll)
    assert (test["ece"], test["ece_calibrated"]) == (score.test_ece, score.test_ece_calibrated)
    assert (test["nll_best_temperature"], test["brier"]) == (score.test_nll_best_temperature, score.test_brier)
    assert payload["verdict"]["sentences"] == list(verdict.sentences)
    assert (payload["verdict"]["ship"], payload["verdict"]["gain"]) == (verdict.ship, verdict.gain)
    assert set(payload["verdict"]["baselines"]) == {"top", "all"}
    assert payload["ledger"]["test"]["decisions"] == payload["ledger"]["validation"]["decisions"] == 1


def test_other_choices_are_those_of_the_verdicts_baselines(run):
    revote = vote_again(load_run(run.found, ["size=3"]))
    found = {row.team.how: row.score for row in revote.rows if row.team.how != "greedy"}
    verdict = revote.conclusion.verdict
    assert found["best"].test_accuracy == verdict.best.test_accuracy
    assert found["best"].corrected == verdict.best.corrected
    assert found["top"].test_nll == pytest.approx(verdict.baselines["top"].test_nll)
    assert found["all"].test_nll == pytest.approx(verdict.baselines["all"].test_nll)


def test_all_shows_every_choice_by_every_vote(run):
    revote = vote_again(load_run(run.found, ["select=top", "size=2"]), everything=True)
    assert len(revote.rows) == 4 * len(VOTES)
    assert all(row.score.corrected is not None for row in revote.rows)  # the learned ones too


def test_a_revote_changes_the_ledger_alone_and_counts_once(run):
    before = run.files()
    first = vote_again(load_run(run.found, ["size=2"]))
    again = vote_again(load_run(run.found, ["size=2"]))
    other = vote_again(load_run(run.found, ["size=1"]))
    assert [[use.decisions for use in one.ledger.uses] for one in (first, again, other)] == [[1, 1], [1, 1], [2, 2]]
    new = {key for key in run.files() if key not in before}
    assert all("/ledger/" in key for key in new)
    assert len(new) == 4
    assert before.items() <= run.files().items()


def test_publishing_has_counted_the_runs_own_use_of_test(run):
    stored = load_run(run.found, [])
    publish(stored, choose_and_evaluate(stored), stored.note)
    assert [use.decisions for use in vote_again(load_run(run.found, [])).ledger.uses] == [1, 1]


def test_a_store_that_takes_nothing_is_still_answered_and_it_is_said(run, monkeypatch):
    def refuse(self, key, data):
        raise StoreError("store runs: the file system is read-only")

    monkeypatch.setattr(Folder, "put", refuse)
    revote = vote_again(load_run(run.found, ["size=2"]))
    assert revote_to_json(revote)["ledger"]["recorded"] is False
    text = " ".join(show(revote, 120).split())
    assert (
        "This look at test is not counted, because the store does not take it: store runs: the file system is" in text
    )


def test_it_is_time_to_rotate_after_more_uses_than_the_images_bear(run):
    assert "Warning" not in show(vote_again(load_run(run.found, ["size=2"])), 120)  # 60 images bear one
    text = " ".join(show(vote_again(load_run(run.found, ["size=1"])), 120).split())
    assert "Warning: test was used for 2 decisions, and its 60 images bear 1: keep new images" in text
    assert "Decisions on this data so far: validation for 2 and test for 2." in text


@pytest.mark.parametrize(("width", "headings"), [(80, 8), (120, 12)])
def test_the_table_fits_the_terminal(run, width, headings):
    lines = show(vote_again(load_run(run.found, [])), width).splitlines()
    assert max(map(len, lines)) <= width
    assert len([line for line in lines if line.startswith(("greedy", "best ", "top ", "all "))]) == len(VOTES) + 3
    named = ["choice", "vote", "of", "selected", "corrected", "test"] + (["NLL", "ECE"] if width == 120 else [])
    assert all(name in lines[0] for name in named)
    assert not any("…" in line for line in lines)


def test_the_verb_prints_one_json_object(run, tmp_path):
    result = CliRunner().invoke(app, ["ensemble", "dots", "size=2", "--json", "--store", str(tmp_path)])
    assert result.exit_code == 0
    payload = json.loads(result.stdout)
    assert payload["ensemble"]["members"] == len(payload["choices"][0]["members"])


@pytest.mark.parametrize(("metric", "name"), [("log_loss", "log-loss"), ("macro_f1", "macro F1"), ("auc", "AUC")])
def test_a_run_whose_record_has_accuracies_alone_is_voted_on_again_by_any_metric(run, metric, name):
    before = vote_again(load_run(run.found, []))
    revote = vote_again(load_run(run.found, [f"metric={metric}", "bootstraps=5"]))
    told = revote.conclusion.verdict.in_metric
    assert before.conclusion.verdict.in_metric is None
    assert told.metric == metric
    assert told.floor is not None
    assert revote.conclusion.verdict.best.test_score == told.best
    assert name in show(revote, 160).splitlines()[0]
    payload = json.loads(json.dumps(revote_to_json(revote), allow_nan=False))
    assert (payload["best"]["metric"], payload["best"]["test_score"]) == (metric, told.best)
    assert all("score" in row["test"] for row in payload["choices"])
    assert {row["select"] for row in payload["choices"]} == {"greedy", "best", "top", "all"}
