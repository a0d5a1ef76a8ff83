"""All trials of a run as one Parquet table, for whoever wants to look at them with other tools."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq

from trainables.config import flatten
from trainables.record import TrialRecord


def to_parquet(records: list[TrialRecord]) -> bytes:
    """One row a trial in the given order: its name, state, reason, best epoch, and a column for each key of its configuration."""
    rows = []
    for place, record in enumerate(records, start=1):
        best = record.best
        rows.append(
            {
                "rank": place,
                "trial_id": record.trial_id,
                "state": record.state,
                "reason": record.reason,
                "epochs": len(record.epochs),
                "best_epoch": best.epoch if best else None,
                "validation_accuracy": best.validation_accuracy if best else None,
                "validation_loss": best.validation_loss if best else None,
                "busy_s": sum(epoch.busy_s for epoch in record.epochs),
                "config": json.dumps(record.config.model_dump(mode="json"), sort_keys=True),
                **flatten(record.config.model_dump(mode="json")),
            }
        )
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())
