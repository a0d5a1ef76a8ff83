"""Checks that a worker trains with the source that a trial's name stands for."""

from __future__ import annotations

from functools import cache

from trainables.config.trial import TrialConfig, combine_sources
from trainables.plugins.kind import Kind
from trainables.plugins.kinds import AUGMENTATION, MODEL
from trainables.plugins.source import hash_source


def check_source(trial: TrialConfig) -> str:
    """Why this process must not train `trial`: its custom model or augmentation has another source here; "" where it may."""
    if not trial.code:
        return ""
    named = ((MODEL, trial.model.name), (AUGMENTATION, trial.augment.function))
    found = combine_sources([source for kind, name in named if (source := _hash_once(kind.group, name))])
    if found == trial.code:
        return ""
    names = " and ".join(name for kind, name in named if _hash_once(kind.group, name)) or trial.model.name
    return (
        f"the source of {names} is another one on this machine ({found or 'not found'}) than when the sweep was read ({trial.code}): "
        "run the sweep again, with the same source on all machines"
    )


@cache
def _hash_once(group: str, name: str) -> str:
    """The hash of a plug-in's source as this process first found it: what it has imported stays as it was then."""
    kind: Kind = next(kind for kind in (MODEL, AUGMENTATION) if kind.group == group)
    module = kind.module_of(name) if name and not kind.is_built_in(name) else ""
    return hash_source(module, ":" not in name) if module else ""
