"""Conditions under which a key of a trial has an effect: `optimizer.momentum` has one only with SGD."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from trainables.config.augment import AugmentConfig
from trainables.config.model import ModelConfig
from trainables.plugins.kind import FAMILIES


@dataclass(frozen=True)
class Condition:
    """A key has an effect only where the key `key` has one of `values`, or is a string that `pattern` matches as a whole."""

    key: str
    values: frozenset[object]
    pattern: str = ""
    pattern_label: str = ""
    """How messages show `pattern`."""

    def holds(self, value: object) -> bool:
        """Whether the key has an effect where `key` has this value."""
        return value in self.values or bool(
            self.pattern and isinstance(value, str) and re.fullmatch(self.pattern, value)
        )

    def __str__(self) -> str:
        return " or ".join(
            [*map(repr, sorted(map(str, self.values))), *([self.pattern_label] if self.pattern_label else [])]
        )


_PLUGIN = rf"(?!({'|'.join(FAMILIES)})/).+[:/].+"

CUSTOM_ONLY = Condition("model.name", frozenset(), _PLUGIN, "module:function")
"""Condition of keys that only a custom model has."""

CNN_OR_CUSTOM = Condition("model.name", frozenset({"cnn"}), _PLUGIN, "module:function")
"""Condition of keys that `cnn` has, and a custom model whose signature names them."""

CUSTOM_AUGMENTATION = Condition("augment.function", frozenset(), _PLUGIN, "module:function")
"""Condition of keys that only a custom augmentation has."""

PRETRAINED = Condition(
    "model.name", frozenset(), rf"({'|'.join(FAMILIES)})/.+", " or ".join(f"{it}/NAME" for it in FAMILIES)
)
"""Condition of keys that only nets have for which somebody publishes weights."""

CONDITIONS: Mapping[str, Condition] = {
    **{
        f"model.{key}": CNN_OR_CUSTOM
        for key in ModelConfig.model_fields
        if key not in ("name", "weights", "batch_norm", "growth", "widest", "neurons")
    },
    "model.batch_norm": Condition("model.group_norm", frozenset({False})),
    "model.growth": Condition("model.blocks", frozenset({2, 3, 4, 5})),
    "model.widest": Condition("model.blocks", frozenset({2, 3, 4, 5})),
    "model.neurons": Condition("model.dense", frozenset({1, 2, 3, 4})),
    "data.normalise": PRETRAINED,
    "optimizer.momentum": Condition("optimizer.name", frozenset({"sgd"})),
    "optimizer.nesterov": Condition("optimizer.name", frozenset({"sgd"})),
    "optimizer.beta1": Condition("optimizer.name", frozenset({"adam", "adamw"})),
    "optimizer.beta2": Condition("optimizer.name", frozenset({"adam", "adamw"})),
    "optimizer.alpha": Condition("optimizer.name", frozenset({"rmsprop"})),
    "schedule.epochs": Condition("schedule.name", frozenset({"cosine", "cyclic", "one-cycle"})),
    "schedule.cycles": Condition("schedule.name", frozenset({"cyclic"})),
    "schedule.every": Condition("schedule.name", frozenset({"step", "exponential", "plateau"})),
    "schedule.factor": Condition("schedule.name", frozenset({"step", "exponential", "plateau"})),
    "bag.number": Condition("bag.kind", frozenset({"bootstrap", "fold"})),
    "bag.of": Condition("bag.kind", frozenset({"fold"})),
    "average.decay": Condition("average.name", frozenset({"ema"})),
    "average.start": Condition("average.name", frozenset({"ema", "swa"})),
}
"""Condition of each key that is not always in effect. Where it does not hold, a search leaves the key at its default. The key
that a condition names may have a condition itself."""


def condition_of(key: str) -> Condition | None:
    """The condition under which a dotted key of a trial has an effect; None where it always has one."""
    section, _, name = key.partition(".")
    if section == "model" and name not in ModelConfig.model_fields:
        return CUSTOM_ONLY
    if section == "augment" and name not in AugmentConfig.model_fields:
        return CUSTOM_AUGMENTATION
    return CONDITIONS.get(key)
