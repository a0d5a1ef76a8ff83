"""Trials of a newer version, with keys or values that this version does not know. They are shown, and never trained or deleted."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import PrivateAttr, ValidationError

from trainables.config.base import flatten
from trainables.config.trial import TrialConfig

_NAME = re.compile(r"[0-9a-f]{8,64}")

_ROUNDS = 50
"""Largest number of validation rounds. Each removes all invalid keys that it finds; errors below an invalid key appear only in
the next round."""


class NewerTrial(TrialConfig):
    """A trial whose known keys are those of any trial; `unknown` has the keys that this version does not know."""

    _name: str = PrivateAttr("")
    _unknown: dict[str, Any] = PrivateAttr(default_factory=dict)

    @cached_property
    def trial_id(self) -> str:
        """The id that the newer version computed from all keys."""
        return self._name

    @property
    def unknown(self) -> Mapping[str, Any]:
        """Unknown dotted keys with their values; empty where all keys are known, and only the id differs."""
        return self._unknown

    @property
    def known(self) -> TrialConfig:
        """A trial with the known keys alone."""
        return TrialConfig(**{name: getattr(self, name) for name in TrialConfig.model_fields})

    @property
    def why(self) -> str:
        """The unknown keys, as a part of a sentence."""
        if not self._unknown:
            return "the rule by which it is named"
        return name_keys(f"{key}={_show(value)}" for key, value in self._unknown.items())

    def flat(self) -> dict[str, Any]:
        """Dotted keys as for any trial, with the unknown keys unchanged."""
        return super().flat() | {key: _plain(value) for key, value in self._unknown.items()}


def read_trial(trial_id: str, payload: object) -> TrialConfig:
    """The configuration of the trial `trial_id` from a record: a `NewerTrial` where it has unknown keys or values.

    Raises `ValueError`, with the key, the value and the problem, where the record is no configuration of any version.
    """
    if not isinstance(trial_id, str) or not _NAME.fullmatch(trial_id):
        raise ValueError(f"trial_id is {_show(trial_id)}, no name of a trial")
    try:
        config = TrialConfig.model_validate(payload)
    except ValidationError:
        return _read_newer(trial_id, payload)
    return config if config.trial_id == trial_id else _newer(trial_id, config, {})


def _read_newer(trial_id: str, payload: object) -> NewerTrial:
    if not isinstance(payload, dict):
        raise ValueError(f"config is {_show(payload)}, not a mapping")
    left, unknown = copy.deepcopy(payload), dict[str, Any]()
    for _ in range(_ROUNDS):
        try:
            return _newer(trial_id, TrialConfig.model_validate(left), unknown)
        except ValidationError as error:
            for problem in error.errors():
                key = [part for part in problem["loc"] if isinstance(part, str)]
                if not key or key[0] in ("data_id", "seed"):
                    name = key[0] if key else "config"
                    raise ValueError(f"{name} is {_show(left.get(name, 'missing'))}: {problem['msg']}") from None
                _take_out(left, key, unknown)
    raise ValueError("config has too much that is not known")


def _take_out(left: dict[str, Any], key: Sequence[str], unknown: dict[str, Any]) -> None:
    """Move the value of `key`, or of its nearest existing parent key, from `left` to `unknown`."""
    at, place = left, 0
    while place < len(key) - 1 and isinstance(at.get(key[place]), dict) and key[place + 1] in at[key[place]]:
        at, place = at[key[place]], place + 1
    if key[place] in at:
        unknown[".".join(key[: place + 1])] = at.pop(key[place])


def _newer(trial_id: str, config: TrialConfig, unknown: dict[str, Any]) -> NewerTrial:
    made = NewerTrial(**{name: getattr(config, name) for name in TrialConfig.model_fields})
    made._name = trial_id
    made._unknown = {
        below: value
        for key, one in unknown.items()
        for below, value in (flatten(one, f"{key}.") if isinstance(one, dict) and one else {key: one}).items()
    }
    return made


def name_keys(keys: Any) -> str:
    """The first three keys, and the number of the others."""
    named = list(keys)
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return ", ".join(named[:3]) + more


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else json.dumps(value, default=str)


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
