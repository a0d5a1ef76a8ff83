"""Searches and schedulers by name, for programs: `Sweep(..., search=TPE(trials=40), scheduler=ASHA(max_epochs=9))`.

Each is the `search` or `scheduler` part of a sweep file with its `method` filled in; the keys are documented there.
"""

from __future__ import annotations

from typing import Literal

from runner.config.scheduler import SchedulerConfig
from runner.config.search import SearchConfig


class RandomSearch(SearchConfig):
    """`method: random`."""

    method: Literal["random"] = "random"


class GridSearch(SearchConfig):
    """`method: grid`."""

    method: Literal["grid"] = "grid"


class JitteredGrid(SearchConfig):
    """`method: jittered`."""

    method: Literal["jittered"] = "jittered"


class TPE(SearchConfig):
    """`method: tpe`. Needs Optuna."""

    method: Literal["tpe"] = "tpe"


class PBT(SearchConfig):
    """`method: pbt`."""

    method: Literal["pbt"] = "pbt"


class Bagging(SearchConfig):
    """`method: bagging`."""

    method: Literal["bagging"] = "bagging"


class Boosting(SearchConfig):
    """`method: boosting`."""

    method: Literal["boosting"] = "boosting"


class ASHA(SchedulerConfig):
    """`method: asha`."""

    method: Literal["asha"] = "asha"


class HyperBand(SchedulerConfig):
    """`method: hyperband`."""

    method: Literal["hyperband"] = "hyperband"


class Median(SchedulerConfig):
    """`method: median`."""

    method: Literal["median"] = "median"


class AllEpochs(SchedulerConfig):
    """`method: none`: every trial trains to the end."""

    method: Literal["none"] = "none"
