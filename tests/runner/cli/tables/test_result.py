import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from ensembles.evaluation.never_predicted import NeverPredicted
from ensembles.voting.vote import VOTES
from runner.cli.tables.result import result_to_json, show_result, show_verdict
from runner.cli.terminal import Terminal
from runner.evaluation.conclusion import choose_and_evaluate
from runner.evaluation.to_json import conclusion_to_json
from runner.journal.state import RunState
from runner.pipeline import RunResult
from runner.runs.stored_run import load_run
from tests.sample_runs.sample_run import write_sample_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_sample_run(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def conclusion(run):
    return choose_and_evaluate(load_run(run.found, ["select=top", "size=3", "vote=weighted"]))


def result_of(run, conclusion):
    return RunResult(
        run=f"dots/{run.run_id}",
        outcome="done",
        reason="the budget ran out",
        state=run.state,
        conclusion=conclusion,
        report="runs/sweeps/dots/x/report.html" if conclusion else None,
        epochs_trained=9,
        busy_s=13.50004,
        wall_s=20.00006,
    )


def show(verdict, members):
    console = Console(width=160, file=io.StringIO())
    console.print(show_verdict(verdict, members))
    return console.file.getvalue().splitlines()


def test_the_json_of_a_run_has_every_documented_key(run, conclusion):
    payload = result_to_json(result_of(run, conclusion))
    verdict = conclusion.verdict
    voted = verdict.votes["weighted"]
    assert json.loads(json.dumps(payload, allow_nan=False)) == {
        "run": f"dots/{run.run_id}",
        "outcome": "done",
        "reason": "the budget ran out",
        "trials": {"finished": 2, "pruned": 1, "failed": 1, "diverged": 1, "stopped": 1},
        "epochs_trained": 9,
        "best": {
            "trial_id": conclusion.best.trial_id,
            "epoch": conclusion.best.epoch,
            "validation_accuracy": verdict.best.validation_accuracy,
            "test_accuracy": verdict.best.test_accuracy,
        },
        "ensemble": {
            "members": 3,
            "vote": "weighted",
            "test_accuracy": voted.test_accuracy,
            "test_nll": voted.test_nll,
            "test_ece": voted.test_ece,
            "ci95": [voted.ci95[0], voted.ci95[1]],
            "validation_accuracy": voted.validation_accuracy,
            "corrected": {"value": voted.corrected.value, "ci95": list(voted.corrected.ci95)},
            "test_ece_calibrated": voted.test_ece_calibrated,
        },
        "votes": {how: verdict.votes[how].test_accuracy for how in VOTES},
        "verdict": verdict.sentence,
        "report": "runs/sweeps/dots/x/report.html",
        "wall_s": 20.0,
        "busy_s": 13.5,
        "slots": 2,
    }


def test_the_numbers_are_those_of_the_best_checkpoint_on_record(run, conclusion):
    payload = conclusion_to_json(conclusion)["best"]
    best = run.state.trials[payload["trial_id"]].best
    assert (payload["epoch"], payload["validation_accuracy"]) == (best.epoch, best.validation_accuracy)
    assert payload["validation_accuracy"] == max(
        record.best.validation_accuracy for record in run.state.trials.values() if record.best
    )


def test_a_run_with_nothing_to_vote_has_the_same_keys(run, conclusion):
    payload = result_to_json(result_of(run, None))
    assert list(payload) == list(result_to_json(result_of(run, conclusion)))
    assert {key for key, value in payload.items() if value is None} == {
        "best",
        "ensemble",
        "votes",
        "verdict",
        "report",
    }


def test_states_that_no_trial_is_in_are_counted_as_zero(run):
    payload = result_to_json(replace(result_of(run, None), state=RunState()))
    assert payload["trials"] == {"finished": 0, "pruned": 0, "failed": 0, "diverged": 0, "stopped": 0}


def test_the_table_sets_the_best_single_against_every_vote(conclusion):
    lines = show(conclusion.verdict, 3)
    assert " ".join(lines[0].split()) == "On the test split, which nothing was chosen on"
    for heading in ("test accuracy", "95 % interval", "NLL", "ECE", "validation (chosen on)", "corrected"):
        assert heading in lines[1]
    scores = {"best single": conclusion.verdict.best}
    scores |= {f"{how} vote of 3": score for how, score in conclusion.verdict.votes.items()}
    assert len(lines) == 2 + 1 + len(VOTES)
    for line, (label, score) in zip(lines[2:], scores.items(), strict=True):
        low, high = score.ci95
        numbers = [f"{score.test_accuracy:.2%}", f"{low:.2%}", "to", f"{high:.2%}"]
        numbers += [f"{score.test_nll:.4f}", f"{score.test_ece:.4f}", f"{score.validation_accuracy:.2%}"]
        numbers.append(f"{score.corrected.value:.2%}" if score.corrected else "-")
        assert line.split() == [*label.split(), *numbers]


@pytest.mark.parametrize("how", ["hard", "soft", "weighted"])
def test_the_vote_of_the_sweep_stands_out(conclusion, how):
    console = Console(width=160, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(show_verdict(replace(conclusion.verdict, vote=how), 3))
    bold = [line for line in console.file.getvalue().splitlines()[2:] if "\x1b[1m" in line]
    assert len(bold) == 1
    assert f"{how} vote of 3" in bold[0]


def test_what_is_never_predicted_is_named_at_the_end_without_control_characters(run, conclusion, capsys):
    missed = (NeverPredicted("f\x1b[2Jox", 3, 12),)
    verdict = replace(conclusion.verdict, never_predicted=missed, best_never_predicted=missed)
    result = result_of(run, replace(conclusion, verdict=verdict))
    show_result(result, Terminal())
    assert "never predicted: f\ufffd[2Jox (12 test images)\n" in capsys.readouterr().out
    assert result_to_json(result)["never_predicted"] == [
        {"name": "f\x1b[2Jox", "validation_images": 3, "test_images": 12}
    ]
