"""Checks that a worker trains with the source that a trial's name stands for."""

from __future__ import annotations

from functools import cache

from trainables.config.trial import TrialConfig, combine_sources
from trainables.plugins.kind import Kind
from trainables.plugins.kinds import AUGMENTATION, MODEL
from trainables.plugins.source import hash_plugin


def check_source(trial: TrialConfig) -> str:
    """Why this process must not train `trial`: its custom model or augmentation has another source here; "" where it may."""
    if not trial.code:
        return ""
    named = ((MODEL, trial.model.name), (AUGMENTATION, trial.augment.function))
    found = combine_sources([source for kind, name in named if (source := _hash_once(kind, name))])
    if found == trial.code:
        return ""
    names = " and ".join(name for kind, name in named if _hash_once(kind, name)) or trial.model.name
    return (
        f"the source of {names} is another one on this machine ({found or 'not found'}) than when the sweep was read ({trial.code}): "
        "run the sweep again, with the same source on all machines"
    )


@cache
def _hash_once(kind: Kind, name: str) -> str:
    """The hash of a plug-in's source as this process first found it: what it has imported stays as it was then."""
    return hash_plugin(kind, name)
