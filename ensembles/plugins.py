"""Whether the keys of `ensemble` that only plug-ins know are taken by one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ensembles.config import EnsembleConfig
from trainables.errors import PluginUnusable
from trainables.plugins.call import refuse_unknown
from trainables.plugins.kind import is_plugin
from trainables.plugins.kinds import CALIBRATION, SELECTION, VOTE

VOTE_PROTOCOL = ("fit", "combine", "to_dict", "read")
"""Methods of a vote that learns."""

CALIBRATION_PROTOCOL = ("fit", "apply", "to_dict", "read")


def check_ensemble_plugins(config: EnsembleConfig, keys: Mapping[str, Any]) -> None:
    """Raise `PluginUnusable` where a custom selection, vote or calibration cannot be imported, or where none of them takes one of `keys`."""
    called: dict[str, tuple[Callable[..., Any], int]] = {}
    if is_plugin(config.select):
        called[config.select] = (SELECTION.find(config.select), 1)
    if is_plugin(config.vote):
        vote = VOTE.find(config.vote)
        if hasattr(vote, "fit"):
            _check_methods("ensemble.vote", config.vote, vote, VOTE_PROTOCOL)
        called[config.vote] = (getattr(vote, "fit", vote), 2)
    if is_plugin(config.calibrate):
        calibration = CALIBRATION.find(config.calibrate)
        _check_methods("ensemble.calibrate", config.calibrate, calibration, CALIBRATION_PROTOCOL)
        called[config.calibrate] = (calibration.fit, 2)
    refuse_unknown("ensemble", keys, called)


def _check_methods(key: str, name: str, part: object, methods: tuple[str, ...]) -> None:
    if missing := [method for method in methods if not callable(getattr(part, method, None))]:
        *first, last = methods
        raise PluginUnusable(
            f"{key} is {name}, which has no {', '.join(missing)}: it has to be a class with {', '.join(first)} and {last}"
        )
