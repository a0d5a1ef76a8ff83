import pytest

from runner.search.listed import list_trials
from runner.spec import parse_spec
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


def test_a_grid_has_every_point_once():
    listed = trials(
        method="grid", space={"model.width": {"choice": [8, 16]}, "optimizer.lr": {"log": [1e-3, 1e-1], "steps": 3}}
    )
    assert [(trial.model.width, trial.optimizer.lr) for trial in listed] == [
        (width, rate) for width in (8, 16) for rate in (1e-3, 1e-2, 1e-1)
    ]


FIRST_THREE = [(0.01089, 8), (0.004003, 8), (0.009248, 8)]
