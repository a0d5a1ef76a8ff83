"""Which keys of a trial have an effect under which values of others: `optimizer.momentum` only with SGD."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from trainables.config.model import ModelConfig


@dataclass(frozen=True)
class Condition:
    """A key has an effect only where another one has one of some values, or is a text that `pattern` matches wholly."""

    key: str
    values: frozenset[object]
    pattern: str = ""
    told: str = ""
    """`pattern` in words."""

    def holds(self, value: object) -> bool:
        """Whether the key has an effect where the other one has this value."""
        return value in self.values or bool(
            self.pattern and isinstance(value, str) and re.fullmatch(self.pattern, value)
        )

    def __str__(self) -> str:
        return " or ".join([*map(repr, sorted(map(str, self.values))), *([self.told] if self.told else [])])


CUSTOM_ONLY = Condition("model.name", frozenset(), r".+:.+", "module:function")
"""Of keys that only a person's own model has."""

PLAIN = Condition("model.name", frozenset({"cnn"}), r".+:.+", "module:function")
"""Of keys that `cnn` has, and a person's own model where it asks for them."""

CONDITIONS: Mapping[str, Condition] = {
    **{
        f"model.{key}": PLAIN
        for key in ModelConfig.model_fields
        if key not in ("name", "weights", "batch_norm", "growth", "widest", "neurons")
    },
    "model.batch_norm": Condition("model.group_norm", frozenset({False})),
    "model.growth": Condition("model.blocks", frozenset({2, 3, 4, 5})),
    "model.widest": Condition("model.blocks", frozenset({2, 3, 4, 5})),
    "model.neurons": Condition("model.dense", frozenset({1, 2, 3, 4})),
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
"""Keys that are without effect elsewhere: a search leaves them at their defaults there. Such a key may have a condition itself."""


def condition_of(key: str) -> Condition | None:
    """Where a dotted key of a trial has an effect; None where that is everywhere."""
    room, _, name = key.partition(".")
    if room == "model" and name not in ModelConfig.model_fields:
        return CUSTOM_ONLY
    return CONDITIONS.get(key)
