"""What all stages of one execution of a run share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runner.config.sweep import SweepSpec
from runner.control.budget import Budget
from runner.journal.lease import Lease
from runner.journal.log import RunLog
from trainables.data.images import ImageSet
from trainables.store.base import Store


@dataclass(frozen=True, eq=False)
class RunContext:
    """One execution of a run by the driver that holds its lease."""

    spec: SweepSpec
    run: str
    """The run's name within its sweep."""
    store: Store
    images: ImageSet
    budget: Budget
    lease: Lease
    log: RunLog
    notify: Callable[[str], None]
    """Shows a person a line that is no event."""

    @property
    def title(self) -> str:
        """`<sweep>/<run>`."""
        return f"{self.spec.name}/{self.run}"
