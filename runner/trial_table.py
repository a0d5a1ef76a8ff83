"""All trials of a run as one Parquet table, for whoever wants to look at them with other tools."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq

from runner.show import tell_trial
from trainables.record import TrialRecord


def to_parquet(records: list[TrialRecord]) -> bytes:
    """One row a trial in the given order: its name, state, reason, best epoch, and a column for each key of its configuration."""
    rows = []
    for place, record in enumerate(records, start=1):
        config = record.config.model_dump(mode="json")
        took = {"busy_s": sum(epoch.busy_s for epoch in record.epochs)}
        rows.append(
            tell_trial(place, record) | took | {"config": json.dumps(config, sort_keys=True)} | record.config.flat()
        )
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())
