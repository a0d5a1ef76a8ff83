"""The importance of a key is what shuffling it costs, measured on trials that took no part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ensembles.analysis.importance import LEAST_R2, LEAST_TRIALS, MOST_TRIALS, measure_importance
from tests.ensembles.samples import make_record
from trainables.config.model import ModelConfig
from trainables.results.record import TrialRecord


def make_trials(count: int, of_width: float, noise: float, epochs: int = 3) -> list[TrialRecord]:
    """Accuracy is 0.5, plus `of_width` where the net is wide, plus noise; dropout and norm do nothing."""
    rng = np.random.default_rng(1)
    found = []
    for number in range(count):
        width = int(rng.choice([8, 32]))
        model = ModelConfig(width=width, dropout=float(rng.uniform(0, 0.5)), batch_norm=bool(rng.random() < 0.5))
        reached = 0.5 + of_width * (width == 32) + noise * float(rng.normal())
        found.append(make_record((0.3, 0.4, reached)[-epochs:], seed=number, model=model))
    return found


KEYS = ["model.width", "model.dropout", "model.batch_norm"]


def test_the_key_that_decides_comes_first_and_the_others_are_near_nothing() -> None:
    found = measure_importance(make_trials(60, of_width=0.2, noise=0.01), KEYS)
    assert found is not None
    assert found.keys[0].key == "model.width"
    assert found.r2 > 0.9
    # Shuffled, half of the trials get the other width: an error of 0.2 in half of them, where the variance is 0.2 ** 2 / 4.
    # A forest that now and then splits on another key first is a little less wrong than that.
    assert 1 < found.keys[0].lost_r2 < 2.2
    assert all(abs(one.lost_r2) < 0.1 for one in found.keys[1:])
    assert (found.epoch, found.trials) == (3, 60)


def test_where_nothing_is_explained_no_key_is_named() -> None:
    found = measure_importance(make_trials(60, of_width=0.0, noise=0.01), KEYS)
    assert found is not None
    assert found.r2 < LEAST_R2
    assert found.keys == ()


def test_few_trials_are_not_compared() -> None:
    assert measure_importance(make_trials(LEAST_TRIALS - 1, 0.2, 0.01), KEYS) is None
    assert measure_importance(make_trials(LEAST_TRIALS, 0.2, 0.01), KEYS) is not None
    assert measure_importance([], KEYS) is None


def test_trials_are_compared_at_the_last_epoch_that_half_of_them_have() -> None:
    trials = make_trials(60, of_width=0.2, noise=0.01)
    cut = [replace(record, epochs=record.epochs[:1]) if number % 3 else record for number, record in enumerate(trials)]
    found = measure_importance(cut, KEYS)
    assert found is None  # all are equal at the end of epoch 1
    cut = [
        replace(record, epochs=record.epochs[:1]) if number % 3 == 0 else record for number, record in enumerate(trials)
    ]
    found = measure_importance(cut, KEYS)
    assert found is not None
    assert (found.epoch, found.trials) == (3, 40)


def test_the_same_trials_in_another_order_give_the_same_figures() -> None:
    trials = make_trials(40, of_width=0.1, noise=0.02)
    assert measure_importance(trials, KEYS) == measure_importance(trials[::-1], KEYS)


def test_strings_and_missing_values_are_compared_as_well() -> None:
    trials = make_trials(40, of_width=0.2, noise=0.01)
    renamed = [
        replace(record, config=record.config.model_copy(update={"model": ModelConfig(width=32, activation="relu")}))
        if record.config.model.width == 32
        else replace(record, config=record.config.model_copy(update={"model": ModelConfig(width=8, activation="elu")}))
        for record in trials
    ]
    found = measure_importance(renamed, ["model.activation", "model.no_such_key"])
    assert found is not None
    assert found.keys[0].key == "model.activation"
    assert found.keys[1].lost_r2 == 0


def test_of_very_many_trials_so_many_are_chosen_evenly() -> None:
    found = measure_importance(make_trials(MOST_TRIALS + 50, of_width=0.2, noise=0.01), KEYS[:1])
    assert found is not None
    assert found.trials == MOST_TRIALS
