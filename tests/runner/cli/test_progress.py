import io
import re

import pytest
from rich.console import Console

from runner.cli.progress import Progress
from tests.sample_runs.sample_run import ENDS, make_result, make_spec, make_trial, open_log, write_sample_run
from trainables.store.folder import Folder


def plain():
    return Console(width=160, file=io.StringIO())


def terminal(height=30):
    return Console(width=120, height=height, file=io.StringIO(), force_terminal=True, color_system=None)


def text_of(console):
    """What was written, without the terminal's control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())


@pytest.fixture
def store(tmp_path):
    return Folder(tmp_path, "runs")


def test_without_a_terminal_each_start_epoch_and_end_is_one_line(tmp_path):
    console = plain()
    with Progress(console, make_spec("runs")) as progress:
        run = write_sample_run(tmp_path, [progress])
    lines = console.file.getvalue().splitlines()
    assert lines[0].endswith("  dots: started on 2 slot(s)")
    expected = []
    for trial, (epochs, state, reason) in zip(run.trials, ENDS, strict=False):
        results = run.state.trials[trial.trial_id].epochs
        expected += [
            f"{trial.trial_id}  epoch {at.epoch:>3}  validation {at.validation_accuracy:.2%}  loss {at.validation_loss:.4f}"
            for at in results
        ]
        expected.append(f"{trial.trial_id}  {reason or state}  [")
        assert len(results) == epochs
    assert len(lines) == 1 + len(expected)
    for line, part in zip(lines[1:], expected, strict=True):
        assert part in line
    assert "\x1b" not in console.file.getvalue()


def test_a_line_begins_with_the_time_and_an_end_adds_the_summary(store):
    console, trial = plain(), make_trial()
    log = open_log(store, listeners=[Progress(console, make_spec("runs"))])
    log.open({}, slots=2)
    log.plan([trial, make_trial(1)])
    log.report(trial.trial_id, make_result(1, 0.875, 0.25), True, ("finished", ""))
    lines = console.file.getvalue().splitlines()
    assert re.fullmatch(r" {4}\d\.\d s  dots: started on 2 slot\(s\)", lines[0])
    assert lines[1].endswith(f"s  {trial.trial_id}  epoch   1  validation 87.50%  loss 0.2500")
    # Two thirds of an epoch beyond the first are expected of the one that waits: 1.67 epochs of 1.5 s on 2 slots.
    assert re.search(
        r"  finished  \[1 finished, 1 waiting · 1 epochs · \d\.\d s so far, about 1\.2 s left\]$", lines[2]
    )
    assert len(lines) == 3


def test_an_epoch_from_the_store_is_marked_as_such(store):
    console, trial = plain(), make_trial()
    log = open_log(store, listeners=[Progress(console, make_spec("runs"))])
    log.plan([trial])
    log.report(trial.trial_id, make_result(1, 0.5), False, None)
    assert console.file.getvalue().rstrip().endswith("loss 0.5000  (was in the store)")


def test_without_an_epoch_no_time_left_is_claimed(store):
    console = plain()
    log = open_log(store, listeners=[Progress(console, make_spec("runs"))])
    log.open({}, slots=1)
    log.plan([make_trial()])
    log.end(make_trial().trial_id, "failed", "boom")
    assert "no epoch has ended yet" in console.file.getvalue()


@pytest.mark.parametrize("reason", ["[red]x[/red]", "[/nothing]", ":smile:"])
def test_markup_in_a_reason_is_shown_as_text(store, reason):
    for console in (plain(), terminal()):
        with Progress(console, make_spec("runs")) as progress:
            log = open_log(store, run=f"r{console.is_terminal}", listeners=[progress])
            log.open({}, slots=1)
            log.plan([make_trial()])
            log.end(make_trial().trial_id, "failed", reason)
            if progress._live:
                progress._live.refresh()
        assert reason in text_of(console)


def test_a_long_reason_is_one_line_still(store):
    console = Console(width=40, file=io.StringIO())
    log = open_log(store, listeners=[Progress(console, make_spec("runs"))])
    log.plan([make_trial()])
    log.end(make_trial().trial_id, "failed", "word\n" * 40)
    (line,) = console.file.getvalue().splitlines()
    assert "word " * 39 + "word  [" in line


def test_a_terminal_shows_one_table_that_is_taken_down_at_the_end(tmp_path):
    console = terminal()
    with Progress(console, make_spec("runs")) as progress:
        run = write_sample_run(tmp_path, [progress])
        assert progress._live is None  # the run has closed
        console.print(progress._render())
    text = text_of(console)
    assert "dots: 7 trials" in text
    assert all(trial.trial_id in text for trial in run.trials)
    assert "pruned at rung 1, rank 3 of 3" in text
    assert "1 diverged, 1 failed, 2 finished, 1 pruned, 1 stopped, 1 waiting · 9 epochs" in text
    assert "started on" not in text


def test_the_table_is_taken_down_when_the_run_breaks_off(store):
    console = terminal()

    def run():
        with Progress(console, make_spec("runs")) as progress:
            open_log(store, listeners=[progress]).open({}, slots=1)
            tables.append(progress._live)
            raise KeyboardInterrupt

    tables = []
    with pytest.raises(KeyboardInterrupt):
        run()
    assert not tables[0].is_started
    assert "\x1b[?25h" in console.file.getvalue()  # the cursor is back


@pytest.mark.parametrize("height", [8, 12, 30])
def test_the_table_fits_the_terminal(store, height):
    console = terminal(height)
    with Progress(console, make_spec("runs")) as progress:
        log = open_log(store, listeners=[progress])
        log.open({}, slots=3)
        trials = [make_trial(number) for number in range(50)]
        log.plan(trials)
        for trial in trials[:3]:
            log.start(trial.trial_id)
        lines = console.render_lines(progress._render())
    shown = ["".join(part.text for part in line).rstrip() for line in lines]
    assert len(shown) <= height
    assert sum("running" in line.split() for line in shown) == 3
