"""Which configuration is best, if some were trained with several seeds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from trainables.config.base import short_hash
from trainables.config.trial import TrialConfig
from trainables.metric import describe_merit
from trainables.results.record import TrialRecord, metric_of


@dataclass(frozen=True)
class Group:
    """The trials of one configuration, which differ by their seed; those without an epoch are left out."""

    records: tuple[TrialRecord, ...]
    merit: float
    """Mean over the records of the merit of their best epochs: of the accuracy, or of the metric that the sweep asks for."""
    loss: float
    """Mean of the validation losses at those epochs."""

    @property
    def shown_merit(self) -> str:
        """`merit` as a person reads it."""
        return describe_merit(metric_of(self.records), self.merit)

    @property
    def config(self) -> TrialConfig:
        """The configuration of the first seed."""
        return self.records[0].config


def configuration_of(trial: TrialConfig) -> str:
    """A hash of everything in a trial's configuration but its seed."""
    return short_hash(trial.model_dump(mode="json", exclude={"seed"}, exclude_defaults=True), digits=12)


def group_trials(records: Iterable[TrialRecord]) -> list[tuple[TrialRecord, ...]]:
    """Trials of the same configuration together, in the order in which configurations first appear."""
    groups: dict[str, list[TrialRecord]] = {}
    for record in records:
        groups.setdefault(configuration_of(record.config), []).append(record)
    return [tuple(group) for group in groups.values()]


def best_group(records: Iterable[TrialRecord]) -> Group | None:
    """The configuration with the highest mean merit on validation; among equals, the lower loss, then the earlier one.

    None if no trial has completed an epoch.
    """
    found = []
    for group in group_trials(records):
        trained = tuple(record for record in group if record.best)
        bests = [record.best for record in trained if record.best]
        if bests:
            merit = fmean(best.merit for best in bests)
            found.append(Group(trained, merit, fmean(best.validation_loss for best in bests)))
    return max(found, key=lambda group: (group.merit, -group.loss), default=None)
