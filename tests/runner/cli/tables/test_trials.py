import io
import json

import pytest
from rich.console import Console

from runner.cli.tables.trials import show_trials
from runner.journal.events import RunOpened, TrialEnded, TrialPlanned, TrialStarted
from runner.journal.state import RunState
from runner.runs.trial_table import trials_to_json
from tests.sample_runs.sample_run import RATES, make_trial, write_sample_run
from trainables.results.record import rank


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return write_sample_run(tmp_path_factory.mktemp("store")).state


def show(table, width=160):
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def rows(text):
    """Words of each line below the title and the heading."""
    return [line.split() for line in text.splitlines()[2:]]


def state_of(*records, ends=()):
    """A state in which the trials `records` are planned, and end as `ends` says."""
    when = {"at_unix_s": 1.0, "elapsed_s": 1.0}
    events = [RunOpened(**when, versions={}, slots=1)]
    events += [TrialPlanned(**when, trial_id=t.trial_id, config=t.model_dump(mode="json")) for t in records]
    events += [
        TrialEnded(**when, trial_id=trial.trial_id, state=state, reason=reason)
        for trial, (state, reason) in zip(records, ends, strict=False)
    ]
    return RunState(events)


def test_trials_are_ranked_with_score_epoch_state_and_what_varies(state):
    lines = show(show_trials(state, 20, "dots/r1")).splitlines()
    assert lines[0].rstrip() == "dots/r1"
    assert lines[1].split() == ["rank", "trial", "validation", "loss", "epoch", "state", "lr"]
    ranked = rank(list(state.trials.values()))
    for place, (record, line) in enumerate(zip(ranked, lines[2:], strict=True), start=1):
        if best := record.best:
            scores = [f"{best.validation_accuracy:.2%}", f"{best.validation_loss:.4f}", str(record.epochs[-1].epoch)]
            expected = [str(place), record.trial_id, *scores]
        else:
            expected = ["-", record.trial_id, "-", "-", "-"]
        assert line.split()[:5] == expected
        assert (record.reason or record.state) in line
        assert line.split()[-1] == f"{record.config.optimizer.lr:.3g}"


def test_the_rest_is_counted(state):
    text = show(show_trials(state, 2, "x"))
    assert len(rows(text)) == 3
    assert text.rstrip().endswith("and 5 more")
    assert "more" not in show(show_trials(state, 7, "x"))


def test_running_trials_are_always_shown(state):
    last = list(state.trials)[-1]
    running = RunState()
    running.trials = dict(state.trials)
    running.apply(TrialStarted(at_unix_s=1.0, elapsed_s=1.0, trial_id=last))
    shown = rows(show(show_trials(running, 1, "x")))
    assert [words[0] for words in shown] == ["1", "-", "and"]
    assert shown[1][1] == last
    assert "running" in shown[1]
    assert shown[2] == ["and", "5", "more"]


def test_markup_in_a_reason_is_shown_as_text(state):
    assert "loss is [red]nan[/red] in epoch 1" in show(show_trials(state, 20, "x"))
    trial = make_trial()
    for reason in ("[red]x[/red]", "[/nothing]", "[link=file:///etc/passwd]x[/link]", ":smile:"):
        assert reason in show(show_trials(state_of(trial, ends=[("failed", reason)]), 20, "x"))


@pytest.mark.parametrize("width", [60, 80])
def test_on_a_narrow_terminal_reasons_are_cut_before_anything_else(state, width):
    text = show(show_trials(state, 20, "x"), width)
    assert len(text.splitlines()) == 2 + len(state.trials)
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" in text
    for record in state.trials.values():
        assert record.trial_id in text
        assert f"{record.config.optimizer.lr:.3g}\n" in text
        assert record.best is None or f"{record.best.validation_accuracy:.2%}" in text


def test_a_reason_of_many_lines_takes_one():
    trial = make_trial()
    table = show_trials(state_of(trial, ends=[("failed", "CUDA error: assert\n  see\r\n\n the log")]), 20, "x")
    assert len(rows(show(table))) == 1
    assert "CUDA error: assert see the log" in show(table)


def test_a_run_without_trials_is_an_empty_table():
    assert rows(show(show_trials(RunState(), 20, "x"))) == []
    assert trials_to_json(RunState(), 20) == []


def test_trials_as_json_are_ranked_and_whole(state):
    payload = trials_to_json(state, 20)
    json.dumps(payload, allow_nan=False)
    ranked = rank(list(state.trials.values()))
    assert [trial["trial_id"] for trial in payload] == [record.trial_id for record in ranked]
    assert [trial["rank"] for trial in payload] == list(range(1, 8))
    assert sorted(trial["config"]["optimizer.lr"] for trial in payload) == sorted(RATES)
    first, last = payload[0], payload[-1]
    best = ranked[0].best
    assert first == {
        "rank": 1,
        "trial_id": ranked[0].trial_id,
        "state": "finished",
        "reason": "",
        "epochs": 3,
        "best_epoch": best.epoch,
        "validation_accuracy": best.validation_accuracy,
        "validation_loss": best.validation_loss,
        "cost": None,
        "config": first["config"],
    }
    keys = ("epochs", "best_epoch", "validation_accuracy", "validation_loss")
    assert [last[key] for key in keys] == [0, None, None, None]
    assert len(trials_to_json(state, 3)) == 3
