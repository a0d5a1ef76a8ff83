"""Which keys of a space have an effect in which trials: `optimizer.momentum` only with SGD."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from runner.space.distribution import Distribution, Value
from trainables.config.conditions import Condition, condition_of

IsActive = Callable[[str, Mapping[str, Value]], bool]


def conditions_of(key: str, space: Mapping[str, Distribution]) -> dict[str, Condition]:
    """The conditions under which `key` varies, by the key that each tests: those built in, and those of `when`.

    A built-in condition may depend on another one: `model.neurons` on `model.dense`, and that on `model.name`.
    """
    found: dict[str, Condition] = {}
    condition = condition_of(key)
    while condition:
        found[condition.key] = condition
        condition = condition_of(condition.key)
    when = space[key].when if key in space else {}
    return found | {other: Condition(other, frozenset(allowed)) for other, allowed in when.items()}


def activity(space: Mapping[str, Distribution], fixed: Callable[[str], Value]) -> IsActive:
    """A function that says whether a key varies, given the values so far; `fixed` returns the value of a key outside the space."""

    def is_active(key: str, values: Mapping[str, Value]) -> bool:
        for other, condition in conditions_of(key, space).items():
            if other in values:
                value = values[other]
            elif other in space:  # inactive itself
                return False
            else:
                value = fixed(other)
            if not condition.holds(value):
                return False
        return True

    return is_active


def in_order(space: Mapping[str, Distribution]) -> dict[str, Distribution]:
    """The space with each key after those that its conditions name. Raises `ValueError` where the conditions form a cycle."""
    ordered: dict[str, Distribution] = {}
    waiting = dict(space)
    while waiting:
        ready = [
            key for key in waiting if not any(other in waiting and other != key for other in conditions_of(key, space))
        ]
        if not ready or any(key in conditions_of(key, space) for key in ready):
            raise ValueError(f"the conditions of {' and '.join(waiting)} go in a circle: remove one `when`")
        for key in ready:
            ordered[key] = waiting.pop(key)
    return ordered


def active_values(
    space: Mapping[str, Distribution], is_active: IsActive, values: Mapping[str, Value]
) -> dict[str, Value]:
    """Those of `values` that have an effect. `space` must be sorted by `in_order`."""
    active: dict[str, Value] = {}
    for key in _both(space, values):
        if is_active(key, active):
            active[key] = values[key]
    return active


def _both(space: Iterable[str], values: Mapping[str, Value]) -> list[str]:
    return [key for key in space if key in values]
