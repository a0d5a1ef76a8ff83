"""Custom rules of a diagnosis, as a sweep names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ensembles.diagnosis.rules import Rule
from ensembles.diagnosis.signs import Setting, Signs
from trainables.config.trial import TrialConfig
from trainables.errors import PluginUnusable
from trainables.plugins.call import naming
from trainables.plugins.kinds import RULE
from trainables.results.record import TrialRecord


def find_rules(names: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of these names, in their order. Raises `PluginUnusable` where there is none, or where it is no `Rule`.

    An error that a rule raises later is a `PluginUnusable`, too.
    """
    return tuple(_guard(name, RULE.find(name)) for name in names)


def _guard(name: str, rule: Any) -> Rule:
    if not isinstance(rule, Rule):
        raise PluginUnusable(
            f"diagnosis.rules names {name}, a {type(rule).__name__}: make it an ensembles.diagnosis.Rule"
        )
    given, where = rule, f"diagnosis.rules names {name}"

    def holds(signs: Signs, config: TrialConfig, setting: Setting) -> bool:
        with naming(where):
            return bool(given.holds(signs, config, setting))

    def patch(record: TrialRecord) -> Mapping[str, Any]:
        with naming(where):
            return given.patch(record)

    return replace(given, holds=holds, patch=patch)
