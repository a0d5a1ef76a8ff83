"""The rules of a diagnosis: the condition of each verdict, its evidence, what to try, and its source.

They are checked in this order, and the first that holds is the verdict: a net that diverged or died shows signs of
everything that comes after. Thresholds were chosen on half of the planted faults of
tests/ensembles/diagnosis/planted_faults.py and are evaluated there on the other half.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ensembles.diagnosis.signs import Setting, Signs
from trainables.config.conditions import condition_of
from trainables.config.trial import TrialConfig
from trainables.plugins.kind import is_plugin
from trainables.results.record import TrialRecord

Verdict = str
"""What is wrong with a trial: the name of a rule in `RULES` or of a custom one, `little-data`, `healthy`, or `unknown`."""

FEWEST_EPOCHS = 4
"""Fewer epochs give no diagnosis."""

MOST_DEAD = 0.5
"""Share of dead units in a layer. Healthy nets here have up to 0.1, those that learned a small set by heart up to 0.4."""

HIGHEST_RATIO, LOWEST_RATIO = 1e-2, 1e-4
"""Band of the update-to-weight ratio. The rule of thumb is 1e-3 (Karpathy 2015); small healthy nets under SGD reach 0.02 here,
so a ratio above the band alone is no fault: validation accuracy must swing as well."""

WILD_RATIO = 0.05
"""Above this ratio any swing beyond chance is a fault. (Weights that decay towards zero have a high ratio and do not swing.)"""

WILD_SWING, SWING = 6.0, 2.0
"""Change of validation accuracy from epoch to epoch, relative to its expectation by chance."""

RISING = -0.05
"""Share by which the training loss falls; below zero it rises."""

LARGE_GAP, CLEAR = 0.04, 2.5
"""Gap between training and validation accuracy, as an accuracy and in standard errors."""

LOSS_GROWN = 2.0
"""Validation loss relative to its lowest, if validation has over twice the errors of training."""

GOOD = 0.8
"""Share of the way from guessing to perfect accuracy that a net should reach on its training images."""

BEHIND = 0.05
"""A trial whose accuracy on training images is this far below the run's best on validation lacks the capacity of the others."""

STILL_FALLING = 0.015
"""Share by which the training loss fell from the middle third of the epochs to the last: it has not converged."""

AMPLE_RATIO = 3e-3
"""A net whose weights move more than this, and that gets nowhere, is not slow: it underfits."""

NEARLY_GOOD, FALLING_FAST = 0.9, 0.2
"""Whatever its ratio, a trial that is not quite there and whose loss falls like this was ended too early."""

LEARNT = 0.1
"""Share of that way which shows that a net has learnt something: its loss should be below that of guessing."""

STRONG_DECAY = 0.03
"""Weight decay from which it can take the weights to zero, per unit of learning rate."""

MOST_DROPOUT, MOST_DECAY, HIGHEST_RATE = 0.5, 0.01, 100.0
"""Upper limits of patches; Srivastava et al. (2014) find dropout of 0.2 to 0.5 best."""

SMALL_BATCH, SURGE = 16, 3.0
"""Images a step; highest loss of eight steps relative to the usual."""


@dataclass(frozen=True)
class Rule:
    """One line of the table."""

    verdict: Verdict
    holds: Callable[[Signs, TrialConfig, Setting], bool]
    shows: tuple[str, ...]
    """Names of the signs that are its evidence."""
    says: str
    """What it means, for a reader."""
    patch: Callable[[TrialRecord], Mapping[str, Any]]
    """What to try next, as keys of a sweep file with values; `patch_for` leaves out what would change nothing."""
    source: str

    def patch_for(self, record: TrialRecord) -> dict[str, Any]:
        """What to try next with this trial: only keys that have an effect on its net, and values that are new to it."""
        patch = dict(self.patch(record))
        values = record.config.flat() | patch
        before = record.config.flat()
        return {
            key: value
            for key, value in patch.items()
            if before.get(key) != value and _has_effect(key, values) and _is_taken(key, record.config)
        }


def _is_wild(signs: Signs, config: TrialConfig, setting: Setting) -> bool:
    ratio = signs.update_ratio or 0.0
    small_batch = config.optimizer.batch_size <= SMALL_BATCH
    # Both make accuracy swing as well, and are the nearer cause.
    starved = _is_starved(signs, config, setting)
    by_heart = signs.gap > 2 * CLEAR * signs.gap_noise and signs.swing < WILD_SWING
    return not (small_batch or starved or by_heart) and (
        (ratio > WILD_RATIO and signs.swing > 1)
        or signs.swing > WILD_SWING
        or (ratio > HIGHEST_RATIO and signs.swing > SWING)
        or signs.falling < RISING
        or (
            _progress(signs.best_accuracy, setting) > LEARNT and signs.validation_loss > 1.2 * math.log(setting.classes)
        )
    )


def _is_dead(signs: Signs, config: TrialConfig, setting: Setting) -> bool:
    # A net that knows its training images by heart has idle units as well: the living ones were enough.
    is_done = _progress(signs.fit_accuracy, setting) >= GOOD
    return (signs.dead_share or 0.0) >= MOST_DEAD and not is_done and not _is_starved(signs, config, setting)


def _is_starved(signs: Signs, config: TrialConfig, setting: Setting) -> bool:
    """Whether weight decay has taken the weights to zero: it then explains the signs of learning rate and units."""
    return config.optimizer.weight_decay >= STRONG_DECAY and _progress(signs.fit_accuracy, setting) < GOOD


def _crawls(signs: Signs, config: TrialConfig, setting: Setting) -> bool:
    # A rate that a schedule has brought to zero, or a net that fits all it sees, moves as little and is no fault.
    is_done = _progress(signs.fit_accuracy, setting) > GOOD
    return signs.update_ratio is not None and signs.update_ratio < LOWEST_RATIO and not is_done


def _is_noisy(signs: Signs, config: TrialConfig, setting: Setting) -> bool:
    shakes = (signs.surge or 1.0) > SURGE or signs.swing > SWING
    return config.optimizer.batch_size <= SMALL_BATCH and shakes


def _overfits(signs: Signs, config: TrialConfig, setting: Setting) -> bool:
    clear = signs.gap > CLEAR * signs.gap_noise
    errors = (1 - signs.validation_accuracy) > 2 * (1 - signs.fit_accuracy)
    return clear and (signs.gap > LARGE_GAP or (signs.loss_ratio > LOSS_GROWN and errors and signs.gap > LARGE_GAP / 2))


def _is_low(signs: Signs, setting: Setting) -> bool:
    behind = setting.best_accuracy - signs.fit_accuracy > BEHIND + CLEAR * signs.gap_noise
    return _progress(signs.fit_accuracy, setting) < GOOD or behind


def _is_slow(signs: Signs, config: TrialConfig, setting: Setting) -> bool:
    nearly = _progress(signs.fit_accuracy, setting) < NEARLY_GOOD
    timid = (signs.update_ratio or 0.0) < AMPLE_RATIO and signs.falling > STILL_FALLING
    return (nearly and signs.falling > FALLING_FAST) or (_is_low(signs, setting) and timid)


def _underfits(signs: Signs, config: TrialConfig, setting: Setting) -> bool:
    return _is_low(signs, setting)


def _progress(accuracy: float, setting: Setting) -> float:
    return (accuracy - setting.guessing) / max(1 - setting.guessing, 1e-9)


def _has_effect(key: str, values: Mapping[str, Any]) -> bool:
    """Whether `key` has an effect in the configuration `values`: `torchvision/resnet18` has no `model.width`."""
    while (condition := condition_of(key)) is not None:
        if not condition.holds(values.get(condition.key)):
            return False
        key = condition.key
    return True


def _is_taken(key: str, config: TrialConfig) -> bool:
    """Whether the model takes `key`. The keys of a user-defined model are not recorded; those that its trial sets are among them."""
    if not (is_plugin(config.model.name) and key.startswith("model.")):
        return True
    return key.removeprefix("model.") in config.model.model_dump(exclude_defaults=True)


def _lower_rate(record: TrialRecord) -> dict[str, Any]:
    return {"optimizer.lr": _rate(record, 1 / 10)}


def _raise_rate(record: TrialRecord) -> dict[str, Any]:
    return {"optimizer.lr": _rate(record, 10)}


def _revive(record: TrialRecord) -> dict[str, Any]:
    return {"model.activation": "leaky_relu", "model.init": "he", "optimizer.lr": _rate(record, 1 / 3)}


def _calm(record: TrialRecord) -> dict[str, Any]:
    return {"optimizer.batch_size": max(32, 4 * record.config.optimizer.batch_size)}


def _regularise(record: TrialRecord) -> dict[str, Any]:
    config = record.config
    dropout, decay = config.model.dropout, config.optimizer.weight_decay
    patch: dict[str, Any] = {}
    if dropout < MOST_DROPOUT:
        patch["model.dropout"] = 0.2 if dropout < 0.1 else round(min(MOST_DROPOUT, dropout + 0.2), 2)
    else:
        patch["model.width"] = max(1, config.model.width // 2)
    if decay < MOST_DECAY:
        patch["optimizer.weight_decay"] = _short(max(5e-4, min(MOST_DECAY, 3 * decay)))
    return patch | _vary(record)


def _vary(record: TrialRecord) -> dict[str, Any]:
    """Augmentation: mild where there is none, stronger where there is."""
    varied = record.config.augment
    if not any(varied.model_dump().values()):
        return {"augment.shift": 0.1, "augment.rotation": 10.0}
    return {"augment.strength": round(min(1.0, varied.strength + 0.3), 2)}


def _gather(record: TrialRecord) -> dict[str, Any]:
    share = record.config.train_share
    return {"train_share": min(1.0, round(2 * share, 4))} if share < 1 else _vary(record)


def _grow(record: TrialRecord) -> dict[str, Any]:
    config = record.config
    patch: dict[str, Any] = {"model.width": min(1024, 2 * config.model.width)}
    if config.model.blocks < 3:
        patch["model.blocks"] = config.model.blocks + 1
    if config.model.dropout:
        patch["model.dropout"] = round(config.model.dropout / 2, 3)
    if config.optimizer.weight_decay > 1e-3:
        patch["optimizer.weight_decay"] = _short(config.optimizer.weight_decay / 10)
    # Another net than cnn has no such sizes. How long a pruned trial might have run is not known here.
    if config.model.name != "cnn" and record.state == "finished":
        patch["scheduler.max_epochs"] = 2 * record.epochs[-1].epoch
    return patch


def _hasten(record: TrialRecord) -> dict[str, Any]:
    config = record.config
    patch: dict[str, Any] = {"optimizer.lr": _rate(record, 3)}
    if not config.model.group_norm:
        patch["model.batch_norm"] = True
    if config.schedule.name == "constant":
        patch["schedule.name"] = "one-cycle"
    return patch


def _nothing(record: TrialRecord) -> dict[str, Any]:
    return {}


def _rate(record: TrialRecord, factor: float) -> float:
    return _short(min(HIGHEST_RATE, record.config.optimizer.lr * factor))


def _short(value: float) -> float:
    return float(f"{value:.3g}")


RULES: tuple[Rule, ...] = (
    Rule(
        "rate-too-high",
        _is_wild,
        ("update_ratio", "swing_points", "falling", "surge", "validation_loss"),
        "The learning rate is too high: accuracy swings from epoch to epoch, or the loss rises.",
        _lower_rate,
        "Bengio 2012, Practical recommendations, 3.1.1; Karpathy 2015, CS231n, update-to-weight ratio",
    ),
    Rule(
        "dead-units",
        _is_dead,
        ("dead_share", "fit_accuracy"),
        "Units are dead: no image activates them, so they learn nothing more.",
        _revive,
        "Maas et al. 2013, leaky ReLU; He et al. 2015, initialisation",
    ),
    Rule(
        "rate-too-low",
        _crawls,
        ("update_ratio", "falling", "fit_accuracy"),
        "The learning rate is too low: a step hardly moves the weights.",
        _raise_rate,
        "Karpathy 2015, CS231n, update-to-weight ratio; Smith 2017, range test",
    ),
    Rule(
        "noisy",
        _is_noisy,
        ("surge", "swing_points"),
        "Gradients are noisy: with so few images a step the loss jumps.",
        _calm,
        "Bottou et al. 2018, Optimization methods, 4; McCandlish et al. 2018, gradient noise scale",
    ),
    Rule(
        "overfits",
        _overfits,
        ("fit_accuracy", "validation_accuracy", "gap", "loss_ratio"),
        "It overfits: it knows its training images far better than others.",
        _regularise,
        "Srivastava et al. 2014, dropout; Krogh and Hertz 1991, weight decay; Goodfellow et al. 2016, 5.2 and 7",
    ),
    Rule(
        "slow",
        _is_slow,
        ("falling", "fit_accuracy", "update_ratio"),
        "It converges slowly: the training loss was still falling when it ended.",
        _hasten,
        "Ioffe and Szegedy 2015, batch normalisation; Smith 2018, one-cycle",
    ),
    Rule(
        "underfits",
        _underfits,
        ("fit_accuracy", "validation_accuracy", "falling"),
        "It underfits: it does not even learn its training images.",
        _grow,
        "Goodfellow et al. 2016, Deep Learning, 5.2 and 11.3",
    ),
)

HEALTHY = Rule(
    "healthy", lambda *_: True, ("fit_accuracy", "validation_accuracy", "gap"), "Nothing stands out.", _nothing, ""
)

LITTLE_DATA = Rule(
    "little-data",
    lambda *_: False,  # decided from several trials together: `ensembles/diagnosis/learning_curve.py`
    (),
    "More data would help: accuracy still grows with the number of training images.",
    _gather,
    "Cortes et al. 1994; Hestness et al. 2017, power laws of the error",
)
