"""From a sweep to its trials, in order: a pure function, the same on every machine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from runner.search.space import share_of
from runner.spec import SweepSpec
from trainables.config import TrialConfig
from trainables.errors import SweepFileError

DEFAULT_TRIALS = 16
PATIENCE = 100
"""Draws in a row that find nothing new before a space counts as exhausted."""


def list_trials(spec: SweepSpec, data_id: str) -> list[TrialConfig]:
    """All trials of a sweep, none twice. A larger `search.trials` only adds to the end.

    Raises `SweepFileError` where the space has fewer different trials, or the sweep fewer trials, than were asked for.
    """
    trials = _list_all(spec, data_id)
    wanted = spec.ensemble
    if wanted.select == "top" and wanted.pool == "best" and wanted.size > len(trials):
        raise SweepFileError(
            f"ensemble.size is {wanted.size}, but there are only {len(trials)} trials to choose from: "
            "lower ensemble.size or raise search.trials"
        )
    return trials


def _list_all(spec: SweepSpec, data_id: str) -> list[TrialConfig]:
    if spec.search.method == "grid":
        return [spec.trial(data_id, values) for values in _grid(spec)]
    wanted = spec.search.trials or DEFAULT_TRIALS
    trials: dict[str, TrialConfig] = {}
    since_new = 0
    for values in _draws(spec):
        trial = spec.trial(data_id, values)
        since_new = since_new + 1 if trial.trial_id in trials else 0
        trials.setdefault(trial.trial_id, trial)
        if len(trials) == wanted:
            return list(trials.values())
        if since_new >= PATIENCE:
            break
    raise SweepFileError(
        f"search.trials is {wanted}, but the space holds only about {len(trials)} different trial(s): "
        "lower search.trials, widen search.space, or use search.method=grid"
    )


def _draws(spec: SweepSpec) -> Iterator[dict[str, Any]]:
    for index in itertools.count():
        yield {key: how.draw(share_of(spec.search.seed, index, key)) for key, how in spec.search.space.items()}


def _grid(spec: SweepSpec) -> Iterator[dict[str, Any]]:
    keys = sorted(spec.search.space)
    for point in itertools.product(*(spec.search.space[key].mesh() for key in keys)):
        yield dict(zip(keys, point, strict=True))
