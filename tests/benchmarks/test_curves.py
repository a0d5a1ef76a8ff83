from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from benchmarks import record_curves
from benchmarks.curves import PARQUET, STUCK_BELOW, SWEEP, Curves, Surrogate, load_curves, load_space
from runner.config.checks import read_spec
from runner.space.distribution import Value
from runner.space.draws import share_of
from trainables.data.images import ImageArrays
from trainables.training.device_images import place_images


@pytest.fixture(scope="module")
def curves() -> Curves:
    return load_curves()


@pytest.fixture(scope="module")
def surrogate(curves: Curves) -> Surrogate:
    return Surrogate(curves)


def draw(count: int, seed: int = 7) -> list[dict[str, Value]]:
    space = load_space()
    return [{key: how.draw(share_of(seed, index, key)) for key, how in space.items()} for index in range(count)]


def test_the_recording_holds_at_least_200_configurations_of_the_sweep_file(curves: Curves) -> None:
    assert len(np.unique(curves.groups)) >= 200
    space = load_space()
    for configuration in curves.configurations:
        assert list(configuration) == list(space)
        assert all(how.holds(configuration[key]) for key, how in space.items())


def test_the_recorded_accuracies_are_shares_of_the_validation_images(curves: Curves) -> None:
    right = curves.accuracy[np.isfinite(curves.accuracy)] * int(curves.about["validation_images"])
    assert right.min() >= 0
    assert right.max() <= int(curves.about["validation_images"])
    np.testing.assert_allclose(right, right.round(), atol=1e-3)


def test_only_a_recorded_trial_that_diverged_lacks_epochs(curves: Curves) -> None:
    assert curves.accuracy.shape == (len(curves.configurations), int(curves.about["epochs"]))
    for series in (curves.accuracy, curves.loss, curves.train_loss, curves.busy_s):
        np.testing.assert_array_equal(np.isnan(series).any(axis=1), curves.diverged)
    assert np.nanmin(curves.busy_s) > 0


def test_the_recording_is_small_and_says_where_it_comes_from(curves: Curves) -> None:
    assert PARQUET.stat().st_size < 300_000
    assert {"date", "torch", "train_images", "validation_images", "command"} <= set(curves.about)


@pytest.mark.usefixtures("one_thread")
def test_a_trial_that_diverges_keeps_its_epochs_and_is_marked_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    images = ImageArrays(
        pixels=random.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8),
        labels=np.arange(40) % 10,
        splits=np.repeat(np.array([0, 1], np.int8), 20),
        classes=10,
    )
    monkeypatch.setattr(record_curves, "_placed", [place_images(images, torch.device("cpu"))])
    spec = read_spec(str(SWEEP), [])
    sound, explosive = (
        spec.trial("d", {**draw(1)[0], "optimizer.lr": rate, "optimizer.weight_decay": decay})
        for rate, decay in ((1e-3, 0.0), (100.0, 10.0))
    )
    curves = {trial.trial_id: record_curves.record(trial, epochs=27) for trial in (sound, explosive)}
    path = tmp_path / "curves.parquet"
    record_curves.write_parquet(spec, [sound, explosive], curves, path)
    curves = load_curves(path)
    assert curves.diverged.tolist() == [False, True]
    assert curves.failed.tolist()[1]
    assert np.isfinite(curves.accuracy[0]).all()
    assert np.isnan(curves.accuracy[1, -1])


def test_the_surrogate_ranks_configurations_that_it_has_not_seen(curves: Curves) -> None:
    held_out = curves.groups % 5 == 0
    surrogate = Surrogate(curves.take(np.flatnonzero(~held_out)))
    asked = [one for one, out in zip(curves.configurations, held_out, strict=True) if out]
    expected = surrogate.true_accuracies(asked)
    assert (
        spearmanr(expected, curves.accuracy[held_out, -1]).statistic > 0.85
    )  # 0.93 to 0.96, by which fifth is held out


def test_a_made_up_curve_is_the_same_alone_and_in_a_batch_and_from_another_surrogate(
    curves: Curves, surrogate: Surrogate
) -> None:
    asked = draw(20)
    batch = surrogate.curves(asked, seed=3)
    other = Surrogate(curves)
    for configuration, curve in zip(asked, batch, strict=True):
        for same in (surrogate.curve(configuration, seed=3), other.curve(configuration, seed=3)):
            np.testing.assert_array_equal(same.accuracy, curve.accuracy)
            np.testing.assert_array_equal(same.loss, curve.loss)
            np.testing.assert_array_equal(same.busy_s, curve.busy_s)
            assert same.diverged_epoch == curve.diverged_epoch


def test_the_order_of_a_configurations_keys_changes_nothing(surrogate: Surrogate) -> None:
    configuration = draw(1)[0]
    turned = dict(reversed(configuration.items()))
    np.testing.assert_array_equal(surrogate.curve(configuration).accuracy, surrogate.curve(turned).accuracy)


def test_made_up_curves_are_possible_ones(surrogate: Surrogate) -> None:
    for curve in surrogate.curves(draw(500)):
        epochs = surrogate.epochs if curve.diverged_epoch is None else curve.diverged_epoch - 1
        assert len(curve.accuracy) == len(curve.loss) == len(curve.busy_s) == epochs
        assert ((curve.accuracy >= 0) & (curve.accuracy <= 1)).all()
        assert (curve.loss > 0).all()
        assert (curve.busy_s > 0).all()


def test_seeds_differ_about_the_accuracy_without_noise(surrogate: Surrogate) -> None:
    asked = [one for one, share in zip(draw(40), surrogate.fail_shares(draw(40)), strict=True) if share == 0]
    assert len(asked) >= 10
    drawn = np.array([[curve.accuracy[-1] for curve in surrogate.curves(asked, seed)] for seed in range(50)])
    assert (drawn.std(axis=0) > 0).all()
    assert np.abs(drawn.mean(axis=0) - surrogate.true_accuracies(asked)).mean() < 0.01


def test_what_fails_with_every_seed_stays_at_chance(surrogate: Surrogate) -> None:
    hopeless = {
        "model.blocks": 1,
        "model.width": 16,
        "model.dropout": 0.4,
        "optimizer.lr": 2.5,
        "optimizer.weight_decay": 1e-3,
    }
    assert surrogate.true_accuracy(hopeless) == 0.1
    assert all(surrogate.curve(hopeless, seed).accuracy[-1] < STUCK_BELOW for seed in range(20))


def test_no_configuration_is_much_better_than_the_best_accuracy(surrogate: Surrogate) -> None:
    others = surrogate.true_accuracies(draw(2000))
    assert surrogate.best_accuracy - 0.02 < others.max() <= surrogate.best_accuracy + 0.002


def test_a_surrogate_of_trials_that_diverge_makes_up_trials_that_diverge(curves: Curves) -> None:
    accuracy, loss, busy_s = curves.accuracy.copy(), curves.loss.copy(), curves.busy_s.copy()
    for series in (accuracy, loss, busy_s):
        series[curves.failed, 4:] = np.nan
    surrogate = Surrogate(replace(curves, accuracy=accuracy, loss=loss, busy_s=busy_s, diverged=curves.failed))
    lengths = {(len(curve.accuracy), curve.diverged_epoch) for curve in surrogate.curves(draw(200))}
    assert lengths == {(4, 5), (27, None)}


def test_a_configuration_outside_the_recorded_space_is_refused(surrogate: Surrogate) -> None:
    configuration = draw(1)[0]
    with pytest.raises(ValueError, match=r"model\.width is 5, outside .*choice"):
        surrogate.curve({**configuration, "model.width": 5})
    del configuration["optimizer.lr"]
    with pytest.raises(ValueError, match=r"optimizer\.lr is missing: the recorded space has model\.blocks"):
        surrogate.curve(configuration)
