import pytest

from runner.config.checks import parse_spec, read_spec
from runner.search.base.best import configuration_of
from runner.search.base.protocol import Measure, Over, Plan
from runner.search.choose import choose_search, list_trials
from runner.testing.search_run import SearchRun
from tests.runner.search.sample_searches import make_search, make_sweep, rates
from tests.sample_runs.sweeps import ROOT
from trainables.errors import SweepFileError

SPACE = {"optimizer.lr": {"log": [1e-4, 1e-1]}, "model.width": {"choice": [8, 16]}}


def trials(**search):
    return list_trials(
        parse_spec({"name": "t", "data": {"name": "digits"}, "search": {"space": SPACE, **search}}, "t.yaml"), "data"
    )


def test_random_trials_are_the_same_on_every_machine():
    assert [(trial.optimizer.lr, trial.model.width) for trial in trials(trials=3)] == FIRST_THREE


def test_more_trials_only_add_to_the_end():
    assert trials(trials=40)[:24] == trials(trials=24)


def test_another_seed_draws_other_trials():
    assert set(trials(trials=8)).isdisjoint(trials(trials=8, seed=1))


def test_a_new_key_leaves_the_values_of_the_others():
    wider = trials(trials=8, space={**SPACE, "model.dropout": {"uniform": [0, 0.5]}})
    assert [trial.optimizer.lr for trial in wider] == [trial.optimizer.lr for trial in trials(trials=8)]


def test_no_trial_comes_twice():
    listed = trials(trials=6, space={"model.width": {"choice": [8, 16, 32]}, "model.blocks": {"choice": [1, 2]}})
    assert len({trial.trial_id for trial in listed}) == 6


def test_more_trials_than_the_space_holds_are_refused():
    with pytest.raises(SweepFileError, match=r"search\.trials is 7, but the space holds only about 2"):
        trials(trials=7, space={"model.width": {"choice": [8, 16]}})


def test_what_is_on_record_from_elsewhere_counts_as_drawn():
    run = SearchRun(make_search({"space": SPACE, "trials": 3}))
    former = make_search({"space": SPACE, "trials": 40}).step(run.state).trials[39]
    run.take(Plan((former,)))
    drawn = run.search.step(run.state).trials
    assert [trial.trial_id for trial in drawn] == [trial.trial_id for trial in trials(trials=2)]


def test_a_smaller_search_drops_the_last_trials():
    run = SearchRun(make_search({"space": SPACE, "trials": 5}))
    planned = run.take(run.search.step(run.state))
    smaller = SearchRun(make_search({"space": SPACE, "trials": 2}), run.events)
    assert [smaller.search.wants(trial.trial_id) for trial in planned] == [True, True, False, False, False]
    assert isinstance(smaller.search.step(smaller.state), Over)


def test_repeats_differ_by_their_seed_alone_and_the_first_is_the_one_without():
    repeated = trials(trials=2, repeats=3)
    assert [trial.trial_id for trial in repeated[::3]] == [trial.trial_id for trial in trials(trials=2)]
    assert len({trial.seed for trial in repeated}) == 6
    assert len({configuration_of(trial) for trial in repeated[:3]}) == 1


def test_a_rate_is_drawn_inside_the_bounds_that_its_architecture_was_found_to_have():
    space = {
        "optimizer.lr": {"range_test": True},
        "model.width": {"choice": [8, 16]},
        "model.dropout": {"uniform": [0, 0.4]},
    }
    run = SearchRun(make_search({"space": space, "trials": 12}))
    measure = run.search.step(run.state)
    assert isinstance(measure, Measure)
    assert sorted(trial.model.width for trial in measure.architectures.values()) == [8, 16]
    assert {trial.model.dropout for trial in measure.architectures.values()} == {0.2}
    run.take(measure)
    drawn = run.take(run.search.step(run.state))
    assert len(drawn) == 12
    assert all(0.001 <= rate <= 0.1 for rate in rates(drawn))
    assert len(set(rates(drawn))) == 12


def test_a_key_that_has_no_effect_is_left_alone():
    space = {"optimizer.name": {"choice": ["sgd", "adamw"]}, "optimizer.momentum": {"uniform": [0.5, 0.8]}}
    drawn = trials(space=space, trials=8)
    momenta = {name: {t.optimizer.momentum for t in drawn if t.optimizer.name == name} for name in ("sgd", "adamw")}
    assert momenta["adamw"] == {0.9}
    assert len(momenta["sgd"]) == 7


FIRST_THREE = [(0.01089, 8), (0.004003, 8), (0.009248, 8)]


def test_a_space_that_was_made_narrower_or_wider_keeps_the_trials_that_lie_in_it():
    earlier = trials(trials=20)
    inside = [trial for trial in earlier if 1e-3 <= trial.optimizer.lr <= 1e-2 and trial.model.width == 8]
    narrow = {"optimizer.lr": {"log": [1e-3, 1e-2]}, "model.width": {"choice": [8]}}
    wide = {"optimizer.lr": {"log": [1e-5, 1.0]}, "model.width": {"choice": [4, 8, 16]}}
    for space, expected in ((narrow, inside), (wide, earlier)):
        spec = make_sweep({"space": space, "trials": 24})
        run = SearchRun(choose_search(spec, "data", None, earlier))
        assert [trial.trial_id for trial in run.take(run.search.step(run.state))] == [t.trial_id for t in expected]
        assert len(run.to_the_end(lambda values: 0.5)) == 24 - len(expected)


def test_trials_of_another_seed_or_with_another_fixed_key_are_not_kept():
    earlier = trials(trials=5)
    for search, parts in (({"seed": 1}, {}), ({}, {"model": {"blocks": 3}})):
        run = SearchRun(
            choose_search(make_sweep({"space": SPACE, "trials": 5, **search}, **parts), "data", None, earlier)
        )
        new = run.take(run.search.step(run.state))
        assert len(new) == 5
        assert {trial.trial_id for trial in new}.isdisjoint(trial.trial_id for trial in earlier)


@pytest.mark.parametrize(
    ("sweep", "names"),
    [
        ("digits", ["34d6ace136f7", "c519548cab53", "0c3644eb267b"]),
        ("fashion_mnist", ["f53d6704a66d", "687735040673", "5f788be9a208"]),
    ],
)
def test_the_trials_of_the_past_keep_their_names_and_seeds(sweep, names):
    spec = read_spec(str(ROOT / "sweeps" / f"{sweep}.yaml"), [])
    assert [trial.trial_id for trial in list_trials(spec, "data")[:3]] == names
