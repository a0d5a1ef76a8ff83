import importlib.util
import logging
import math
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from runner.search.methods.optuna_samplers import MOST, OptunaModel, _thin, _TrialHistory
from runner.space.distribution import Distribution
from runner.space.draws import share_of
from trainables.errors import SweepFileError

METHODS = ("tpe", "gp", "bohb")
SPACE = {
    "x": Distribution("uniform", low=0.0, high=1.0),
    "lr": Distribution("log", low=1e-4, high=1.0),
    "width": Distribution("choice", values=(16, 32, 64)),
}
CONDITIONAL = {
    "optimizer": Distribution("choice", values=("sgd", "adam", None)),
    "momentum": Distribution("uniform", low=0.0, high=0.987654321),
    "depth": Distribution("int", low=1, high=4),
    "flag": Distribution("choice", values=(True, 1, 1.5)),
}


def always(key, values):
    return True


def momentum_with_sgd(key, values):
    return key != "momentum" or values.get("optimizer") == "sgd"


def model_of(method, space=SPACE, is_active=always, seed=3, startup=4, max_epochs=3):
    return OptunaModel(method, space, is_active, seed, startup, max_epochs)


def accuracy_of(values):
    """Best, 0.95, at x 0.3, a rate of 0.01 and width 64."""
    rate = math.log10(values["lr"]) + 2
    return 0.95 - 0.6 * (values["x"] - 0.3) ** 2 - 0.05 * rate**2 - {16: 0.06, 32: 0.02, 64: 0.0}[values["width"]]


def noise_of(seed, index):
    return 0.01 * (sum(share_of(seed, index, f"noise{place}") for place in range(12)) - 6)


def finish(model, trial_id, values, accuracy, epoch=3):
    model.begin(trial_id, values)
    model.report(trial_id, epoch, accuracy)
    model.end(trial_id, "finished")


def trained_model(method, trials=8, **settings):
    """A model that knows `trials` finished trials at random places."""
    model = model_of(method, **settings)
    for index, values in enumerate(drawn(trials)):
        finish(model, f"t{index}", values, accuracy_of(values))
    return model


def drawn(trials):
    return [{key: how.draw(share_of(99, index, key)) for key, how in SPACE.items()} for index in range(trials)]


def events_of(method, trials):
    """A sweep with two slots: its events in order, of each suggestion how many came before it, and the suggestions."""
    model, events, suggestions, live = model_of(method, max_epochs=2), [], [], []

    def apply(what, *values):
        events.append((what, values))
        getattr(model, what)(*values)

    for index in range(trials):
        if len(live) == 2:
            name, values, place = live.pop(0)
            if place % 5 == 3:
                apply("end", name, "diverged")
            else:
                apply("report", name, 1, accuracy_of(values) / 2)
                if place % 5 == 4:
                    apply("end", name, "pruned")
                else:
                    apply("report", name, 2, accuracy_of(values))
                    apply("end", name, "finished")
        suggestions.append((len(events), model.suggest(index)))
        apply("begin", f"t{index}", suggestions[-1][1])
        live.append((f"t{index}", suggestions[-1][1], index))
    return events, suggestions


@pytest.mark.parametrize("method", METHODS)
def test_a_driver_that_reads_the_record_suggests_what_the_undisturbed_one_did(method):
    events, suggestions = events_of(method, 14)

    for index in (5, 8, 13):
        length, suggested = suggestions[index]
        again = model_of(method, max_epochs=2)
        for what, values in events[:length]:
            getattr(again, what)(*values)
        assert again.suggest(index) == suggested


@pytest.mark.parametrize("method", METHODS)
def test_a_suggestion_is_a_query(method):
    model = trained_model(method)

    first = model.suggest(8)
    model.suggest(9)

    assert model.suggest(8) == first


@pytest.mark.parametrize("method", ["tpe", "bohb"])
def test_the_order_of_hashes_decides_nothing(method):
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_optuna_samplers import *
model = model_of({method!r}, CONDITIONAL, momentum_with_sgd)
for index in range(20):
    values = model.suggest(index)
    finish(model, str(index), values, share_of(1, index, "accuracy"))
    print(values)
"""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert outputs[0].count("\n") == 20
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("method", METHODS)
def test_the_first_trials_are_those_of_a_random_search(method):
    model = model_of(method, startup=3)

    for index in range(3):
        values = model.suggest(index)
        assert values == {key: how.draw(share_of(3, index, key)) for key, how in SPACE.items()}
        finish(model, str(index), values, accuracy_of(values))


def test_with_many_slots_trials_stay_random_until_enough_have_a_result():
    model = model_of("tpe", startup=4)
    for index in range(6):
        model.begin(str(index), model.suggest(index))

    assert model.suggest(6) == {key: how.draw(share_of(3, 6, key)) for key, how in SPACE.items()}


def test_repeats_of_a_configuration_count_once_for_the_start():
    model = model_of("tpe", startup=2)
    for repeat in range(3):
        finish(model, str(repeat), drawn(1)[0], 0.5)

    assert model.suggest(1) == {key: how.draw(share_of(3, 1, key)) for key, how in SPACE.items()}


@pytest.mark.parametrize("method", METHODS)
def test_a_key_whose_condition_does_not_hold_is_left_out(method):
    model = model_of(method, CONDITIONAL, momentum_with_sgd)
    optimizers = set()
    for index in range(9 if method == "gp" else 30):
        values = model.suggest(index)
        optimizers.add(values["optimizer"])
        assert ("momentum" in values) == (values["optimizer"] == "sgd")
        assert all(CONDITIONAL[key].holds(value) for key, value in values.items())
        finish(model, str(index), values, 0.9 if values["optimizer"] == "sgd" else 0.5)

    assert "sgd" in optimizers


@pytest.mark.parametrize("method", METHODS)
def test_a_drawn_number_is_short_and_inside_bounds_that_are_not(method):
    space = {"x": Distribution("uniform", low=0.123456789, high=0.123556789)}
    model = model_of(method, space, startup=2)
    for index, value in enumerate((0.1235, 0.1235, 0.1236)):
        finish(model, str(index), {"x": value}, 0.1 * index)

    for index in range(3, 6):
        assert 0.123456789 <= model.suggest(index)["x"] <= 0.123556789


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("values", [{"x": 2.0}, {"x": 0.5, "lr": 7.0, "width": 16}, {"width": 8}, {"x": None}, {}])
def test_a_trial_that_does_not_lie_in_the_space_is_left_out_of_the_model(method, values):
    model, undisturbed = trained_model(method), trained_model(method)
    model.begin("wider", values)
    model.report("wider", 3, 0.99)
    model.end("wider", "finished")

    assert model.suggest(8) == undisturbed.suggest(8)


def test_choices_that_are_equal_in_python_stay_distinct():
    model = model_of("tpe", {"flag": Distribution("choice", values=(True, 1))}, startup=1)
    for index in range(12):
        finish(model, str(index), {"flag": (True, 1)[index % 2]}, (0.1, 0.9)[index % 2])
    suggested = [model.suggest(index)["flag"] for index in range(12, 24)]

    assert sum(type(value) is int for value in suggested) > sum(value is True for value in suggested)


def test_a_trial_of_a_former_run_that_is_planned_again_keeps_its_results():
    model, undisturbed = trained_model("tpe"), trained_model("tpe")
    model.begin("t0", drawn(1)[0])

    assert model.suggest(8) == undisturbed.suggest(8)


def around(model, index=20, draws=12, key="x"):
    """The median of many suggestions of a model."""
    return float(np.median([model.suggest(index + draw)[key] for draw in range(draws)]))


LINE = {"x": Distribution("uniform", low=0.0, high=1.0)}


def line(method, left, right, startup=2, max_epochs=9):
    """A model that knows ten trials on the left and ten on the right, each told by a function of model and name."""
    model = model_of(method, LINE, startup=startup, max_epochs=max_epochs)
    for place in range(20):
        name = f"t{place}"
        model.begin(name, {"x": 0.2 + 0.01 * place if place % 2 else 0.8 - 0.01 * place})
        (left if place % 2 else right)(model, name)
    return model


def ends(state, *accuracies):
    def apply(model, name):
        for epoch, accuracy in enumerate(accuracies, start=1):
            model.report(name, epoch, accuracy + 0.01 * int(name[1:]))
        if state:
            model.end(name, state)

    return apply


@pytest.mark.parametrize(
    ("method", "good", "bad"),
    [
        ("tpe", ends("finished", 0.3), ends("diverged", 0.9)),
        ("tpe", ends("finished", 0.3), ends("failed")),
        ("tpe", ends("finished", 0.3), ends("finished", 0.9, math.nan)),
        ("tpe", ends("finished", 0.3), ends("pruned", 0.9)),
        ("tpe", ends("pruned", 0.1, 0.2), ends("pruned", 0.9)),
        ("tpe", ends("pruned", 0.1, 0.2), ends("pruned", 0.2, 0.1)),
        ("tpe", ends(None, 0.1, 0.2), ends("pruned", 0.9)),
        ("tpe", ends("pruned", 0.1), ends(None)),
        ("gp", ends("finished", 0.3), ends("diverged", 0.9)),
        ("gp", ends("finished", 0.3), ends("finished", 0.2)),
        ("gp", ends("finished", 0.3), ends("pruned", 0.2)),
        ("bohb", ends("finished", 0.3), ends("diverged", 0.9)),
        ("bohb", ends("pruned", 0.1, 0.9), ends("finished", 0.2, 0.8, 0.1)),
        ("bohb", ends("finished", 0.1, 0.9), ends("finished", 0.9, 0.1)),
    ],
)
def test_suggestions_lie_where_trials_went_well(method, good, bad):
    draws = 3 if method == "gp" else 24

    assert around(line(method, good, bad), draws=draws) < 0.5 < around(line(method, bad, good), draws=draws)


def test_a_gaussian_process_takes_the_best_third_and_an_even_share_of_many_trials():
    lost = _TrialHistory({}, {1: 1.0}, "diverged")
    under_way = _TrialHistory({})
    known = [under_way, lost, *(_TrialHistory({}, {1: 0.0001 * place}, "finished") for place in range(1000)), under_way]

    thinned = _thin(known)

    accuracies = [history.last for history in thinned if history.accuracies and not history.is_lost]
    assert len(thinned) == MOST + 2
    assert accuracies == sorted(accuracies)
    assert accuracies[-100:] == [history.last for history in known[902:1002]]
    assert max(np.diff(accuracies)) < 0.0006
    assert _thin(known[:300]) == known[:300]


def test_bohb_learns_from_the_highest_epoch_that_enough_trials_have_reached():
    def late(model, name):
        ends("finished", 0.1, 0.9)(model, name) if name != "t1" else ends("finished", 0.1, 0.9, 0.9)(model, name)

    # One key: three results are enough; epoch 3 has one.
    assert around(line("bohb", late, ends("finished", 0.9, 0.1)), draws=24) < 0.5


def test_bohb_is_random_while_no_epoch_has_enough_results():
    model = trained_model("bohb", trials=4)

    assert model.suggest(8) == {key: how.draw(share_of(3, 8, key)) for key, how in SPACE.items()}


def test_a_third_of_bohbs_suggestions_stays_random():
    model = trained_model("bohb")
    is_random = [
        model.suggest(index) == {key: how.draw(share_of(3, index, key)) for key, how in SPACE.items()}
        for index in range(8, 68)
    ]

    assert sum(is_random) == sum(share_of(3, index, "bohb-random") < 1 / 3 for index in range(8, 68))
    assert 10 <= sum(is_random) <= 30


@pytest.mark.parametrize("method", METHODS)
def test_two_idle_slots_get_different_trials(method):
    model = trained_model(method)
    first = model.suggest(8)
    model.begin("running", first)

    assert model.suggest(9) != first


@pytest.mark.parametrize("method", METHODS)
def test_nothing_outside_the_model_is_changed(method, capfd):
    import torch

    model = trained_model(method)
    model.suggest(8)  # what the first import of Optuna sets up is not ours

    def outside():
        return [
            str(np.random.get_state()),
            random.getstate(),
            torch.get_rng_state().tolist(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            dict(os.environ),
            list(warnings.filters),
            logging.getLogger("optuna").level,
        ]

    before = outside()
    capfd.readouterr()
    model.suggest(9)

    assert outside() == before
    assert capfd.readouterr() == ("", "")


def test_without_optuna_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(
        SweepFileError, match=r"search.method is gp, which needs Optuna: pip install --editable '.*\[optuna\]'"
    ):
        model_of("gp")


def regret_of(method, seed, trials):
    """How far the best of `trials` trials, two at a time, is from the optimum."""
    model = model_of("tpe" if method == "random" else method, seed=seed, startup=trials if method == "random" else 8)
    live = []
    accuracies = []
    for index in range(trials):
        if len(live) == 2:
            name, values = live.pop(0)
            model.report(name, 3, accuracy_of(values) + noise_of(seed, int(name)))
            model.end(name, "finished")
        values = model.suggest(index)
        model.begin(str(index), values)
        live.append((str(index), values))
        accuracies.append(accuracy_of(values))
    return 0.95 - max(accuracies)


@pytest.mark.parametrize(
    ("method", "seeds", "trials"),
    [("tpe", 10, 60), ("bohb", 10, 60), pytest.param("gp", 3, 24, marks=pytest.mark.long)],
)
def test_a_model_comes_nearer_to_the_optimum_than_random_search(method, seeds, trials):
    mean = np.mean([regret_of(method, seed, trials) for seed in range(seeds)])

    assert mean < 0.7 * np.mean([regret_of("random", seed, trials) for seed in range(seeds)])
