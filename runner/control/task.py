"""What a slot is given to do."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.config.trial import TrialConfig


@dataclass(frozen=True)
class TrialTask:
    """A trial to be trained, and the last of its epochs that needs no second look."""

    trial: TrialConfig
    after_epoch: int

    @property
    def name(self) -> str:
        """The trial's."""
        return self.trial.trial_id


@dataclass(frozen=True)
class RangeTask:
    """The learning-rate range test of an architecture."""

    key: str
    """Names the architecture."""
    trial: TrialConfig
    """Stands for it."""

    @property
    def name(self) -> str:
        """Told apart from a trial's."""
        return f"range-{self.key}"


Task = TrialTask | RangeTask
