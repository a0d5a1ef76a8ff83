"""Tasks of a slot."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.config.trial import TrialConfig


@dataclass(frozen=True)
class TrialTask:
    """A trial to be trained after the epoch `after_epoch`, which is complete."""

    trial: TrialConfig
    after_epoch: int

    @property
    def name(self) -> str:
        """The trial's id."""
        return self.trial.trial_id


@dataclass(frozen=True)
class RangeTask:
    """The learning-rate range test of an architecture."""

    key: str
    """The name of the architecture."""
    trial: TrialConfig
    """A trial of that architecture."""

    @property
    def name(self) -> str:
        """A name that no trial has."""
        return f"range-{self.key}"


Task = TrialTask | RangeTask
