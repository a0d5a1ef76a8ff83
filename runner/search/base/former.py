"""An earlier run over the same data, from which a warm start or a replay begins."""

from __future__ import annotations

from dataclasses import dataclass

from runner.journal.events import Decided
from trainables.results.record import TrialRecord, rank


@dataclass(frozen=True)
class Former:
    """The trials and decisions of an earlier run in the store."""

    run: str
    """`<name>/<run>`."""
    records: tuple[TrialRecord, ...]
    """Its trials, in the order in which they were planned."""
    decisions: tuple[Decided, ...]

    @property
    def ranked(self) -> list[TrialRecord]:
        """Trials with a result, best first."""
        return [record for record in rank(list(self.records)) if record.epochs]
