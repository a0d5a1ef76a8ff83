"""A former run over the same data, as a warm start or a replay knows it."""

from __future__ import annotations

from dataclasses import dataclass

from runner.journal.events import Decided
from trainables.results.record import TrialRecord, rank


@dataclass(frozen=True)
class Former:
    """What a run in the store has come to."""

    run: str
    """`<name>/<run>`."""
    records: tuple[TrialRecord, ...]
    """In the order in which they were planned."""
    decisions: tuple[Decided, ...]

    @property
    def ranked(self) -> list[TrialRecord]:
        """Trials with a result, best first."""
        return [record for record in rank(list(self.records)) if record.epochs]
