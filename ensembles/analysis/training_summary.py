"""Statistics from the training of a team's trials, read from the store for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ensembles.team import Team
from trainables.errors import DamagedObject, ObjectMissing
from trainables.results.checkpoint import CheckpointId, read_part
from trainables.results.layer_statistics import LayerStatistics, layers_from_arrow
from trainables.results.record import TrialRecord
from trainables.store import layout
from trainables.store.base import Store

MOST_TRIALS = 6
"""A page with more trials would not be read."""


@dataclass(frozen=True)
class MonitoredTrial:
    """A trial with the statistics of its layers at the end of `epoch`, its last one; no layers if they are not in the store."""

    record: TrialRecord
    epoch: int
    layers: tuple[LayerStatistics, ...] = ()


def read_statistics(store: Store, records: Sequence[TrialRecord], team: Team) -> tuple[MonitoredTrial, ...]:
    """The team's trials, the heaviest first, at most `MOST_TRIALS`. Trials that were not monitored are left out."""
    known = {record.trial_id: record for record in records}
    heaviest = sorted(zip(team.members, team.weights, strict=True), key=lambda pair: -pair[1])
    names = list(dict.fromkeys(member.trial_id for member, _ in heaviest))
    monitored = [known[name] for name in names if name in known and was_monitored(known[name])]
    return tuple(_read(store, record) for record in monitored[:MOST_TRIALS])


def was_monitored(record: TrialRecord) -> bool:
    """Whether any of its epochs was monitored: those of an older version were not."""
    return any(epoch.fit_loss is not None for epoch in record.epochs)


def _read(store: Store, record: TrialRecord) -> MonitoredTrial:
    last = record.epochs[-1].epoch
    try:
        data = read_part(store, CheckpointId(record.trial_id, last), layout.LAYER_STATISTICS)
        return MonitoredTrial(record, last, layers_from_arrow(data))
    except (ObjectMissing, DamagedObject):  # a report is worth having without it
        return MonitoredTrial(record, last)
