"""The `scheduler` section of a sweep file: how long each trial trains."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from trainables.config.base import Frozen, OpenSection
from trainables.plugins.kinds import SCHEDULER


class PatienceConfig(Frozen):
    """A trial stops early once its smoothed validation loss has not been better for a while (Prechelt 1998)."""

    epochs: Annotated[int, Field(ge=1)]
    """Epochs without a new best after which it stops. A single bad epoch does not count."""
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Weight of the past in the smoothed loss; 0 takes the loss as it is."""


class SchedulerConfig(OpenSection):
    """How long each trial trains, and which ones are ended early."""

    PLUGIN_KEYS = ("method",)

    method: Annotated[str, AfterValidator(SCHEDULER.check)] = "asha"
    """`asha`: successive halving without waiting (Li 2020), trials are stopped; `asha-promote`: the same, trials pause
    at each rung and the best go on; `hyperband`: brackets that wait until each rung is full (Li 2018); `median`: stopped
    when worse than the median of the others (Golovin 2017); `none`: every trial trains to the end. Or a plug-in,
    `module:function` or `package/name`, which may define further keys here."""
    max_epochs: Annotated[int, Field(ge=1, le=100_000)] = 27
    reduction: Annotated[int, Field(ge=2, le=100)] = 3
    """`asha`, `asha-promote`, `hyperband`: the best one in `reduction` goes on past each rung."""
    grace_epochs: Annotated[int, Field(ge=1)] = 1
    """The first rung; no trial is ended before it."""
    brackets: Annotated[int, Field(ge=1, le=20)] = 1
    """`asha`: the trials of bracket 1 meet their first rung `reduction` times later than those of bracket 0, and so on.
    Which bracket a trial is in is drawn from `search.seed`."""
    min_trials: Annotated[int, Field(ge=1)] = 3
    """`median`: how many other trials must have reached the same epoch before a trial is compared."""
    patience: PatienceConfig | None = None
    """Early stopping of each trial by itself, in addition to any method."""
    audit: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many of the pruned trials, drawn at random, are trained to the end afterwards, so that the report can say what
    pruning has missed."""

    @model_validator(mode="after")
    def _first_rung_is_inside(self) -> SchedulerConfig:
        if self.grace_epochs > self.max_epochs:
            raise ValueError(f"grace_epochs is {self.grace_epochs}, above max_epochs {self.max_epochs}: lower it")
        if self.brackets > 1 and self.method != "asha":
            raise ValueError(f"brackets is {self.brackets}, but method is {self.method}: brackets go with asha alone")
        first = self.grace_epochs * self.reduction ** (self.brackets - 1)
        if self.brackets > 1 and first >= self.max_epochs:
            raise ValueError(
                f"brackets is {self.brackets}: the last one's first rung is epoch {first}, not below max_epochs "
                f"{self.max_epochs}, so it would end nothing; lower brackets"
            )
        if self.audit and self.method == "none":
            raise ValueError(f"audit is {self.audit}, but method none prunes nothing: remove it")
        return self
