"""One hand-made record a rule, and what a diagnosis hands on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ensembles.diagnosis.diagnose import diagnose, diagnose_all
from ensembles.diagnosis.learning_curve import find_data_curves
from ensembles.diagnosis.rules import RULES
from ensembles.diagnosis.signs import Setting, read_signs, setting_of
from ensembles.report.sweep.diagnosis import format_overrides
from runner.config.checks import read_spec
from tests.sample_runs.sweeps import ROOT
from trainables.config.trial import TrialConfig
from trainables.data.data_table import DataTable
from trainables.results.record import EpochResult, TrialRecord

SETTING = Setting(classes=10, train_images=1000, validation_images=500)


def record(state="finished", reason="", epochs=10, config=None, seed=1, **series) -> TrialRecord:
    """A trial whose epochs take each series' value, or that of its list."""
    usual = {
        "train_loss": [2.0 / at for at in range(1, epochs + 1)],
        "train_accuracy": 0.95,
        "validation_loss": 0.2,
        "validation_accuracy": 0.95,
        "fit_loss": 0.15,
        "fit_accuracy": 0.96,
        "rate": 0.1,
        "grad_norm": 1.0,
        "update_ratio": 1e-3,
        "dead_share": 0.0,
        "surge": 1.0,
    } | series
    figures = [
        {name: value[at] if isinstance(value, list) else value for name, value in usual.items()} for at in range(epochs)
    ]
    results = tuple(
        EpochResult(epoch=at, train_s=1.0, evaluate_s=0.1, **one) for at, one in enumerate(figures, start=1)
    )
    return TrialRecord(TrialConfig(data_id="d", seed=seed, **(config or {})), state, reason, results)


SWINGING = [0.9, 0.5] * 5

TABLE = [
    ("healthy", record()),
    ("unknown", record(epochs=3)),
    ("unknown", record(epochs=0, state="waiting")),
    ("rate-too-high", record(state="diverged", reason="the loss is nan in epoch 2", epochs=1)),
    ("rate-too-high", record(validation_accuracy=SWINGING, update_ratio=0.03)),
    ("rate-too-high", record(train_loss=[1.0] * 5 + [2.0] * 5)),
    ("rate-too-high", record(validation_loss=5.0)),
    ("dead-units", record(dead_share=0.9, validation_accuracy=0.1, fit_accuracy=0.1, train_loss=2.3)),
    ("rate-too-low", record(update_ratio=1e-5, validation_accuracy=0.2, fit_accuracy=0.2, train_loss=2.2)),
    ("noisy", record(surge=5.0, config={"optimizer": {"batch_size": 4}})),
    ("overfits", record(fit_accuracy=1.0, validation_accuracy=0.8)),
    ("slow", record(fit_accuracy=0.6, validation_accuracy=0.6)),
    ("underfits", record(fit_accuracy=0.4, validation_accuracy=0.4, train_loss=1.8)),
]


@pytest.mark.parametrize(("verdict", "trial"), TABLE, ids=[f"{verdict}-{at}" for at, (verdict, _) in enumerate(TABLE)])
def test_a_verdict_follows_from_the_epochs(verdict, trial):
    found = diagnose(trial, SETTING)
    assert found.verdict == verdict
    assert bool(found.patch) == (verdict not in ("healthy", "unknown"))
    assert found.evidence
    json.dumps(found.to_dict(), allow_nan=False)


def test_each_rule_has_a_case_a_source_and_signs_that_exist():
    names = set(read_signs(record(), SETTING).to_dict())
    for rule in RULES:
        assert rule.verdict in {verdict for verdict, _ in TABLE}
        assert rule.source
        assert rule.says
        assert set(rule.shows) <= names


def test_a_gap_that_few_images_cannot_tell_from_none_is_no_overfitting():
    few, many = (Setting(classes=10, train_images=images, validation_images=images) for images in (30, 5000))
    trial = record(fit_accuracy=0.97, validation_accuracy=0.9)
    assert (diagnose(trial, few).verdict, diagnose(trial, many).verdict) == ("healthy", "overfits")


def test_the_signs_of_a_small_table():
    trial = record(
        epochs=4,
        validation_accuracy=[0.5, 0.6, 0.7, 0.8],
        validation_loss=[2.0, 1.0, 1.5, 1.25],
        train_loss=[4.0, 3.0, 2.0, 1.0],
        fit_accuracy=[0.5, 0.6, 0.7, 0.9],
    )
    signs = read_signs(trial, Setting(classes=2, train_images=1000, validation_images=100))
    assert (signs.epochs, signs.fit_accuracy, signs.validation_accuracy, signs.best_accuracy) == (4, 0.9, 0.8, 0.8)
    assert signs.gap == pytest.approx(0.1)
    assert signs.loss_ratio == pytest.approx(1.25)
    assert signs.falling == pytest.approx(0.5)  # from 2 in the middle third to 1 in the last
    assert signs.swing_points == pytest.approx(0.1)


def test_a_journal_without_monitored_epochs_is_diagnosed_by_the_rest():
    unwatched = dict.fromkeys(("fit_loss", "fit_accuracy", "update_ratio", "dead_share", "surge"))
    trial = record(train_accuracy=1.0, validation_accuracy=0.8, **unwatched)
    found = diagnose(trial, SETTING)
    assert (found.verdict, found.evidence["fit_accuracy"]) == ("overfits", 1.0)


def of_share(share, accuracy, seed=1):
    return record(config={"train_share": share}, seed=seed, validation_accuracy=accuracy, fit_accuracy=1.0)


def test_accuracy_that_still_grows_with_the_data_asks_for_more_of_it():
    records = [of_share(0.25, 0.6), of_share(0.5, 0.76), of_share(1.0, 0.856)]  # a power of -0.74: 0.6 x fewer errors
    found = diagnose_all(records, SETTING)
    assert [one.verdict for one in found] == ["overfits", "overfits", "little-data"]
    assert found[2].evidence["gain_of_twice_the_data"] == pytest.approx(0.144 * 0.4, abs=1e-3)
    assert found[2].evidence["train_images"] == [250, 500, 1000]


def test_accuracy_that_has_stopped_growing_does_not():
    records = [of_share(0.25, 0.93), of_share(0.5, 0.955), of_share(1.0, 0.956)]
    assert diagnose_all(records, SETTING)[2].verdict != "little-data"


def test_newest_images_that_bring_far_less_than_the_curve_says_ask_for_no_more():
    setting = Setting(classes=10, train_images=1000, validation_images=5000)
    rising, flat = ([of_share(0.25, 0.85), of_share(0.5, 0.9), of_share(1.0, last)] for last in (0.93, 0.901))
    assert find_data_curves(flat, setting)[0].promised > 0.015
    assert diagnose_all(rising, setting)[2].verdict == "little-data"
    assert diagnose_all(flat, setting)[2].verdict == "overfits"


def test_too_little_data_is_answered_with_the_rest_of_it_or_with_variations_of_what_there_is():
    accuracies = (0.6, 0.76, 0.856)
    part = [of_share(share, accuracy) for share, accuracy in zip((0.15, 0.3, 0.6), accuracies, strict=True)]
    whole = [of_share(share, accuracy) for share, accuracy in zip((0.25, 0.5, 1.0), accuracies, strict=True)]
    assert diagnose_all(part, SETTING)[2].patch == {"train_share": 1.0}
    assert diagnose_all(whole, SETTING)[2].patch == {"augment.shift": 0.1, "augment.rotation": 10.0}


def test_two_shares_of_the_data_make_no_curve():
    assert find_data_curves([of_share(0.5, 0.7), of_share(1.0, 0.9)], SETTING) == []


def test_what_to_try_are_overrides_that_a_sweep_takes():
    sweep = str(ROOT / "sweeps" / "digits.yaml")
    given = [trial for _, trial in TABLE] + [record(config=config, **series) for series, config, _ in PATCHES]
    starved = [of_share(0.15, 0.6), of_share(0.3, 0.76), of_share(0.6, 0.856)]
    for found in [*(diagnose(trial, SETTING) for trial in given), *diagnose_all(starved, SETTING)]:
        spec = read_spec(sweep, format_overrides(found).split())
        for key, value in found.patch.items():
            assert spec.fixed(key) == value
            assert key not in spec.search.space


OVERFITTING = {"fit_accuracy": 1.0, "validation_accuracy": 0.8}
UNDERFITTING = {"fit_accuracy": 0.4, "validation_accuracy": 0.4, "train_loss": 1.8}
DEAD = {"dead_share": 0.9, "validation_accuracy": 0.1, "fit_accuracy": 0.1, "train_loss": 2.3}
CRAWLING = {"update_ratio": 1e-5, "validation_accuracy": 0.2, "fit_accuracy": 0.2, "train_loss": 2.2}
SLOW = {"fit_accuracy": 0.6, "validation_accuracy": 0.6}
RESNET = {"name": "torchvision/resnet18"}

PATCHES = [
    (
        OVERFITTING,
        {},
        {"model.dropout": 0.2, "optimizer.weight_decay": 5e-4, "augment.shift": 0.1, "augment.rotation": 10.0},
    ),
    (
        OVERFITTING,
        {"model": {"dropout": 0.4}, "optimizer": {"weight_decay": 0.002}, "augment": {"shift": 0.2}},
        {"model.dropout": 0.5, "optimizer.weight_decay": 0.006, "augment.strength": 0.3},
    ),
    (
        OVERFITTING,
        {"model": {"dropout": 0.6, "width": 32}, "optimizer": {"weight_decay": 0.02}, "augment": {"strength": 1.0}},
        {"model.width": 16},
    ),
    (
        OVERFITTING,
        {"model": RESNET, "augment": {"strength": 0.9}},
        {"optimizer.weight_decay": 5e-4, "augment.strength": 1.0},
    ),
    (OVERFITTING, {"model": {"name": "mine:build"}, "augment": {"strength": 1.0}}, {"optimizer.weight_decay": 5e-4}),
    (
        OVERFITTING,
        {"model": {"name": "mine:build", "dropout": 0.1}, "augment": {"strength": 1.0}},
        {"model.dropout": 0.3, "optimizer.weight_decay": 5e-4},
    ),
    (UNDERFITTING, {}, {"model.width": 32, "model.blocks": 3}),
    (
        UNDERFITTING,
        {"model": {"blocks": 3, "dropout": 0.4}, "optimizer": {"weight_decay": 0.01}},
        {"model.width": 32, "model.dropout": 0.2, "optimizer.weight_decay": 0.001},
    ),
    (UNDERFITTING, {"model": RESNET}, {"scheduler.max_epochs": 20}),
    (DEAD, {}, {"model.activation": "leaky_relu", "optimizer.lr": 0.0167}),
    (
        DEAD,
        {"model": {"init": "orthogonal"}},
        {"model.activation": "leaky_relu", "model.init": "he", "optimizer.lr": 0.0167},
    ),
    (CRAWLING, {"optimizer": {"lr": 1e-5}}, {"optimizer.lr": 1e-4}),
    (CRAWLING, {"optimizer": {"lr": 1e-8}}, {"optimizer.lr": 1e-7}),
    (CRAWLING, {"optimizer": {"lr": 50.0}}, {"optimizer.lr": 100.0}),
    (
        SLOW,
        {"model": {"batch_norm": False}},
        {"optimizer.lr": 0.15, "model.batch_norm": True, "schedule.name": "one-cycle"},
    ),
    (SLOW, {"model": {"group_norm": True}, "schedule": {"name": "cosine"}}, {"optimizer.lr": 0.15}),
]


@pytest.mark.parametrize(("series", "config", "patch"), PATCHES)
def test_a_patch_changes_what_the_trial_has_and_names_no_key_without_effect(series, config, patch):
    assert diagnose(record(config=config, **series), SETTING).patch == patch
    before = record(config=config).config.flat()
    assert all(before.get(key) != value for key, value in patch.items())


def test_to_name_one_class_for_every_image_is_no_success():
    trial = record(validation_accuracy=0.9, fit_accuracy=0.9, train_loss=0.3, validation_loss=0.33)
    even, uneven = (Setting(2, 1000, 500, majority_share=share) for share in (0.5, 0.9))
    assert (diagnose(trial, even).verdict, diagnose(trial, uneven).verdict) == ("healthy", "underfits")


def test_the_setting_of_a_run_is_counted_from_its_images():
    labels, splits = np.array([0, 0, 1, 1, 1, 2, 0]), np.array([0, 0, 0, 1, 1, 1, 2], np.int8)
    table = DataTable("d", "dots", ("a", "b", "c"), tuple("1234567"), labels, splits)
    assert setting_of(table) == Setting(3, 3, 3, majority_share=2 / 3)


def test_a_failed_trial_is_shown_with_its_reason():
    found = diagnose(record(epochs=2, state="failed", reason="out of memory at 64 images a step"), SETTING)
    assert found.verdict == "unknown"
    assert found.evidence == {"reason": "failed: out of memory at 64 images a step; 2 epochs, of which 4 are needed"}


def test_a_trial_far_behind_the_best_of_its_run_underfits():
    good, weak = (
        record(seed=1, validation_accuracy=0.97),
        record(seed=2, fit_accuracy=0.85, validation_accuracy=0.84, train_loss=0.5),
    )
    assert [one.verdict for one in diagnose_all([good, weak], Setting(10, 5000, 5000))] == ["healthy", "underfits"]
