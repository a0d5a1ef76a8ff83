from itertools import pairwise

import pytest

from runner.journal.events import Decided
from runner.search.base.former import Former
from runner.search.base.protocol import Decide, Over, Plan, Wait
from runner.testing.search_run import WHEN, SearchRun
from tests.runner.search.sample_searches import make_search, rates
from trainables.errors import SweepFileError

STEPS = [
    {"first_epoch": 1, "last_epoch": 4, "trial_id": "a" * 12, "values": {"optimizer.lr": 0.1}, "accuracy": 0.5},
    {"first_epoch": 5, "last_epoch": 6, "trial_id": "b" * 12, "values": {"optimizer.lr": 0.08}, "accuracy": 0.6},
    {
        "first_epoch": 7,
        "last_epoch": 10,
        "trial_id": "c" * 12,
        "values": {"optimizer.lr": 0.02, "model.dropout": 0.1},
        "accuracy": 0.9,
    },
]


def decided(what, values):
    return Decided(**WHEN, what=what, reason="", values=values)


FORMER = Former(
    "digits/3f2a90c1",
    (),
    (
        decided("schedule", {"steps": STEPS[:1]}),
        decided("schedule", {"steps": STEPS}),
        decided("stage", {}),
    ),
)


def begin(former=FORMER, repeats=1, max_epochs=10, replay="digits", seed=0, **parts):
    search = {"method": "replay", "replay": replay, "repeats": repeats, "seed": seed}
    return SearchRun(make_search(search, former, scheduler={"method": "none", "max_epochs": max_epochs}, **parts))


def train(run, *scores):
    """What is planned next, each trial ended with its score; returns the trials and their last epoch."""
    step = run.search.step(run.state)
    assert isinstance(step, Plan)
    for trial, score in zip(run.take(step), scores, strict=True):
        run.end(trial, score, step.max_epochs)
    return list(step.trials), step.max_epochs


def test_the_schedule_is_put_on_record_first():
    run = begin(repeats=3)
    step = run.search.step(run.state)
    assert isinstance(step, Decide)
    assert (step.what, step.values) == ("replay", {"steps": STEPS})
    assert step.reason == (
        "digits found a schedule of 3 step(s) over 10 epochs, with 90.00% there: it is trained 3 time(s)"
    )


def test_each_step_continues_from_the_last_epoch_of_the_one_before():
    run = begin()
    run.take(run.search.step(run.state))
    chain = [train(run, 0.5) for _ in STEPS]
    trials = [trials[0] for trials, _ in chain]
    assert [epoch for _, epoch in chain] == [4, 6, 10]
    assert rates(trials) == [0.1, 0.08, 0.02]
    assert [trial.model.dropout for trial in trials] == [0.0, 0.0, 0.1]
    assert trials[0].parent is None
    assert [(trial.parent.trial_id, trial.parent.epoch) for trial in trials[1:]] == [
        (trials[0].trial_id, 4),
        (trials[1].trial_id, 6),
    ]
    assert isinstance(run.search.step(run.state), Over)


def test_a_step_waits_for_the_one_before():
    run = begin()
    run.take(run.search.step(run.state))
    run.take(run.search.step(run.state))
    assert isinstance(run.search.step(run.state), Wait)


def test_repeats_are_chains_with_seeds_of_their_own():
    run = begin(repeats=2)
    run.take(run.search.step(run.state))
    chains = [train(run, 0.5, 0.5)[0] for _ in STEPS]
    assert len({trial.seed for trials in chains for trial in trials}) == 6
    for before, after in pairwise(chains):
        assert [trial.parent.trial_id for trial in after] == [trial.trial_id for trial in before]


def test_a_replay_is_a_training_of_its_own_even_with_the_seed_of_the_population():
    space = {"optimizer.lr": {"log": [1e-3, 1.0]}}
    scheduler = {"method": "none", "max_epochs": 4}
    search = {"method": "pbt", "space": space, "population": {"size": 2, "interval": 2}}
    found = SearchRun(make_search(search, scheduler=scheduler))
    while not isinstance(step := found.search.step(found.state), Over):
        for trial in found.take(step):
            found.end(trial, trial.optimizer.lr / 2, step.max_epochs)
    former = Former("t/1", tuple(found.state.trials.values()), tuple(found.state.decisions))
    run = begin(former, replay="t/1", max_epochs=4)
    run.take(run.search.step(run.state))
    while not isinstance(run.search.step(run.state), Over):
        train(run, 0.5)
    assert set(run.state.trials).isdisjoint(found.state.trials)
    wanted = [step["values"]["optimizer.lr"] for step in found.decisions("schedule")[0].values["steps"]]
    assert rates([record.config for record in run.state.trials.values()]) == wanted


def test_a_chain_stops_at_a_step_that_does_not_finish_and_the_others_go_on():
    run = begin(repeats=2)
    run.take(run.search.step(run.state))
    first, _ = train(run, None, 0.5)
    second, _ = train(run, 0.5)
    assert second[0].parent.trial_id == first[1].trial_id
    train(run, 0.5)
    assert isinstance(run.search.step(run.state), Over)


def test_a_chain_stops_at_a_step_that_early_stopping_cut_short():
    run = begin()
    run.take(run.search.step(run.state))
    (trial,) = run.take(run.search.step(run.state))
    run.end(trial, 0.5, epoch=3)
    assert isinstance(run.search.step(run.state), Over)


def test_chains_at_different_steps_are_planned_each_to_its_own_epoch():
    run = begin(repeats=2)
    run.take(run.search.step(run.state))
    fast, slow = run.take(run.search.step(run.state))
    run.end(fast, 0.5, epoch=4)
    train(run, 0.5)  # the second step of the fast one
    run.end(slow, 0.5, epoch=4)
    step = run.search.step(run.state)
    assert ([trial.optimizer.lr for trial in step.trials], step.max_epochs) == ([0.02], 10)
    run.take(step)
    step = run.search.step(run.state)
    assert ([trial.optimizer.lr for trial in step.trials], step.max_epochs) == ([0.08], 6)


def test_a_driver_that_is_replaced_at_any_moment_continues_alike_without_the_former_run():
    def run_to_end(run):
        return run.finish(lambda record: None if record.config.seed % 3 == 0 and record.max_epochs == 6 else 0.5)

    whole = run_to_end(begin(repeats=6))
    assert set(whole.state.counts()) == {"finished", "diverged"}
    for cut in range(len(whole.events)):
        again = begin(None if cut else FORMER, repeats=6)
        for event in whole.events[:cut]:
            again.record(event)
        assert run_to_end(again).events == whole.events


def test_before_the_journal_is_read_a_replay_without_its_former_run_waits():
    run = begin(None)
    assert isinstance(run.search.step(run.state), Wait)


def test_a_run_that_found_no_schedule_is_refused():
    with pytest.raises(
        SweepFileError, match=r"^search.replay names digits/3f2a90c1, which found no schedule: name a run"
    ):
        begin(Former("digits/3f2a90c1", (), (decided("stage", {}),)))


def test_a_former_run_that_was_read_for_something_else_is_refused():
    with pytest.raises(SweepFileError, match=r"replay names digits/ffff, but digits/3f2a90c1 is read"):
        begin(replay="digits/ffff")


def test_a_learning_rate_that_moves_over_the_epochs_needs_as_many_of_them():
    begin(max_epochs=27)
    begin(max_epochs=10, schedule={"name": "cosine"})
    with pytest.raises(SweepFileError, match=r"max_epochs is 27, but the schedule has 10 epochs, .*max_epochs=10"):
        begin(max_epochs=27, schedule={"name": "cosine"})
