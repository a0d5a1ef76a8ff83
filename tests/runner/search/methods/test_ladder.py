"""Ladders by hand: steps that pay, steps that do not, and drivers that are replaced half-way up."""

from dataclasses import replace

import pytest

from runner.search.base.protocol import Over, Wait
from runner.search.methods.ladder import evaluate_step
from runner.testing.search_run import SearchRun
from tests.runner.search.sample_searches import make_search, make_sweep
from trainables.errors import SweepFileError
from trainables.results.record import TrialCost

NONE = {"method": "none", "max_epochs": 3}
STEPS = [{"model.width": width} for width in (4, 8, 16, 32, 64)]


def ladder(**more):
    return {"method": "ladder", "steps": STEPS, **more}


def run_search(search, score):
    run = SearchRun(make_search(search, scheduler=NONE))
    run.to_the_end(score)
    return run


def by_width(**accuracies):
    """Score by width: `w4=0.8`."""
    return lambda values: accuracies[f"w{values['model.width']}"]


def widths(run):
    return [record.config.model.width for record in run.state.trials.values()]


def verdicts(run):
    return [(one.values["step"], one.values["pays"]) for one in run.decisions("step")]


def test_it_grows_while_the_gain_pays_and_stops_one_step_after_the_first_that_does_not():
    run = run_search(ladder(gain=0.01), by_width(w4=0.8, w8=0.9, w16=0.905, w32=0.904))
    assert widths(run) == [4, 8, 16, 32]  # 64 is never trained
    assert verdicts(run) == [(1, True), (2, True), (3, False), (4, False)]
    (end,) = run.decisions("ladder")
    assert end.values == {"step": 2, "accuracy": 0.9, "values": {"model.width": 8}}
    assert end.reason == (
        "growing pays up to step 2 (model.width 8), 90.00%; steps 3 and 4 gained 0.50 and 0.40 points, "
        "where 1.00 and 1.00 would have paid; step 5 and what is larger is not trained"
    )
    assert run.state.trials[end.trial_id].config.model.width == 8


def test_a_gain_that_takes_two_steps_is_not_missed():
    run = run_search(ladder(gain=0.01), by_width(w4=0.8, w8=0.806, w16=0.812, w32=0.82, w64=0.82))
    # Each is measured by the last step that paid, not by its neighbour: 16 pays by 1.2 points over 4.
    assert verdicts(run) == [(1, True), (2, False), (3, True), (4, False), (5, False)]


def test_it_says_how_large_the_nets_are_where_that_was_measured():
    search = make_search(ladder(), scheduler=NONE)
    run = SearchRun(search)
    for trial in run.take(search.step(run.state)):
        run.end(trial, 0.9)
        record, cost = (
            run.state.trials[trial.trial_id],
            TrialCost(1234 * trial.model.width, 1, 0.1, 1, 0.1, 1, False),
        )
        run.state.trials[trial.trial_id] = replace(record, cost=cost)
    run.to_the_end(lambda values: 0.9)
    assert [one.values["parameters"] for one in run.decisions("step")] == [4936, 9872, 19744]
    assert run.decisions("step")[0].reason.startswith("step 1 (model.width 4) with 4,936 parameters reaches 90.00%")
    assert "pays up to step 1 (model.width 4) with 4,936 parameters, 90.00%" in run.decisions("ladder")[0].reason


def test_without_patience_the_first_step_that_does_not_pay_is_the_last():
    run = run_search(ladder(gain=0.01, patience=0), by_width(w4=0.8, w8=0.806))
    assert widths(run) == [4, 8]
    assert run.decisions("ladder")[0].values["step"] == 1


def test_a_ladder_that_pays_to_its_end_says_that_it_is_too_short():
    run = run_search(ladder(), by_width(w4=0.5, w8=0.6, w16=0.7, w32=0.8, w64=0.9))
    assert run.decisions("ladder")[0].reason.startswith("the last step still pays: step 5 (model.width 64), 90.00%")


def test_steps_that_are_sure_to_be_trained_are_planned_at_once_and_no_others():
    search = make_search(ladder(repeats=2), scheduler=NONE)
    run = SearchRun(search)
    trials = run.take(search.step(run.state))
    assert [trial.model.width for trial in trials] == [4, 4, 8, 8, 16, 16]
    assert len({trial.seed for trial in trials[:2]}) == 2
    for trial in trials[2:]:
        run.end(trial, 0.9)
    assert isinstance(search.step(run.state), Wait)  # the first step is still under way


def test_what_seeds_scatter_by_must_be_exceeded():
    # Deviation 1.414 points within each step, two degrees of freedom: t = 2.919986, so 4.129 points are needed.
    found = evaluate_step([[0.80, 0.82], [0.83, 0.85]], 0, 0.002)
    assert not found.pays
    assert found.noise == pytest.approx(0.0141421, abs=1e-6)
    assert found.needed == pytest.approx(2.919986 * 0.0141421, abs=1e-6)
    assert found.gained == pytest.approx(0.03)
    assert evaluate_step([[0.80, 0.82], [0.85, 0.87]], 0, 0.002).pays


def test_one_seed_each_leaves_the_gain_alone_to_decide():
    assert evaluate_step([[0.9], [0.902]], 0, 0.002).pays  # exactly what is asked for
    assert not evaluate_step([[0.9], [0.9019]], 0, 0.002).pays
    assert evaluate_step([[0.9], [0.902]], 0, 0.002).noise is None


def test_an_equal_step_does_not_pay_even_where_any_gain_would():
    assert not evaluate_step([[0.9, 0.9], [0.9, 0.9]], 0, 0.0).pays
    assert evaluate_step([[0.9, 0.9], [0.91, 0.91]], 0, 0.0).pays


def test_a_step_without_a_result_does_not_pay_and_the_next_one_is_measured_by_the_last_that_did():
    scores = {4: 0.8, 8: None, 16: 0.9, 32: None, 64: None}
    run = run_search(ladder(), lambda values: scores[values["model.width"]])
    assert verdicts(run) == [(1, True), (2, False), (3, True), (4, False), (5, False)]
    assert run.decisions("step")[2].values["gained"] == pytest.approx(0.1)
    assert "none of its trials came to the end" in run.decisions("step")[1].reason


def test_where_the_first_step_fails_the_next_one_is_where_it_begins():
    run = run_search(ladder(), lambda values: None if values["model.width"] == 4 else 0.8)
    assert verdicts(run) == [(1, True), (2, True), (3, False), (4, False)]
    assert run.decisions("ladder")[0].values["step"] == 2


def test_a_seed_that_is_lost_is_reported_and_the_others_count():
    lost = iter([0.8, None, 0.9, 0.92, 0.8, 0.8, 0.8, 0.8])
    run = run_search(ladder(repeats=2), lambda values: next(lost))
    assert "reaches 80.00%, 1 of 2 lost" in run.decisions("step")[0].reason


@pytest.mark.parametrize("cut", range(0, 40))
def test_a_driver_that_is_replaced_at_any_moment_climbs_the_same_ladder(cut):
    search = ladder(repeats=2, gain=0.01)
    score = by_width(w4=0.8, w8=0.9, w16=0.905, w32=0.95, w64=0.95)
    whole = run_search(search, score)
    again = SearchRun(make_search(search, scheduler=NONE), whole.events[:cut])
    for record in again.state.pending():
        again.end(record.config, score(record.config.flat()))
    again.to_the_end(score)
    assert [one.trial_id for one in again.state.trials.values()] == [
        one.trial_id for one in whole.state.trials.values()
    ]
    decisions = [(one.what, one.reason, one.values, one.trial_id) for one in whole.state.decisions]
    assert [(one.what, one.reason, one.values, one.trial_id) for one in again.state.decisions] == decisions
    assert isinstance(again.search.step(again.state), Over)


def test_a_step_is_compared_with_the_same_steps_in_whatever_order_they_end():
    score = by_width(w4=0.8, w8=0.9, w16=0.905, w32=0.904)
    search = make_search(ladder(gain=0.01, repeats=2), scheduler=NONE)
    backwards = SearchRun(search)
    for _ in range(60):
        step = search.step(backwards.state)
        if isinstance(step, Over):
            break
        for trial in reversed(backwards.take(step)):
            backwards.end(trial, score(trial.flat()))
    decisions = [(one.what, one.reason) for one in backwards.state.decisions]
    assert decisions == [
        (one.what, one.reason) for one in run_search(ladder(gain=0.01, repeats=2), score).state.decisions
    ]


def test_a_stage_continues_from_where_the_ladder_ended_and_not_from_the_largest_net():
    stages = [
        {"name": "capacity", **ladder(gain=0.01)},
        {"name": "rate", "method": "grid", "space": {"optimizer.lr": {"choice": [0.01, 0.1]}}},
    ]
    run = run_search({"stages": stages}, by_width(w4=0.8, w8=0.9, w16=0.905, w32=0.904))
    assert widths(run)[-2:] == [8, 8]
    assert run.decisions("stage")[0].values == {"model.width": 8}


@pytest.mark.parametrize(
    ("search", "scheduler", "message"),
    [
        ({"steps": STEPS[:1]}, NONE, "at least two steps"),
        ({"steps": [*STEPS, STEPS[1]]}, NONE, "step 6 of the ladder is the same as step 2: remove one"),
        (
            {"steps": [{"model.widht": 8}, STEPS[0]]},
            NONE,
            r"steps\.1\.model\.widht: no such key; did you mean model.width",
        ),
        (
            {"steps": [STEPS[0], {"model.width": 0}]},
            NONE,
            r"steps\.2\.model\.width is 0: must be greater than or equal to 1",
        ),
        ({"steps": STEPS}, {"method": "asha"}, "compares steps at equal epochs, but scheduler.method is asha"),
        ({"steps": STEPS, "space": {"optimizer.lr": {"log": [0.01, 0.1]}}}, NONE, "draws nothing: remove space"),
        ({"steps": STEPS, "gain": 2}, NONE, "gain"),
        ({"steps": STEPS, "method": "grid"}, NONE, "steps means nothing to method grid: it goes with ladder"),
    ],
)
def test_a_ladder_that_cannot_be_climbed_is_refused(search, scheduler, message):
    with pytest.raises(SweepFileError, match=message):
        make_sweep({"method": "ladder", **search}, scheduler=scheduler)
