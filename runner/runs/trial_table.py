"""All trials of a run as one Parquet table, for analysis with other tools."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from runner.journal.state import RunState
from trainables.results.record import TrialCost, TrialRecord, rank


def one_line(reason: str) -> str:
    """A reason without line breaks, of which torch's messages have many."""
    return " ".join(reason.split())


def trials_to_json(state: RunState, most: int) -> list[dict[str, object]]:
    """The best `most` trials as JSON objects."""
    ranked = rank(list(state.trials.values()))[:most]
    return [trial_to_json(place, record) for place, record in enumerate(ranked, start=1)]


def trial_to_json(place: int, record: TrialRecord) -> dict[str, object]:
    """One trial, ranked at `place`, as a JSON object."""
    best = record.best
    return {
        "rank": place,
        "trial_id": record.trial_id,
        "state": record.state,
        "reason": record.reason,
        "epochs": len(record.epochs),
        "best_epoch": best.epoch if best else None,
        "validation_accuracy": best.validation_accuracy if best else None,
        "validation_loss": best.validation_loss if best else None,
        **({"metric": best.metric, "validation_score": best.validation_score} if best and best.metric else {}),
        "cost": asdict(record.cost) if record.cost else None,
        "config": record.config.flat(),
    }


def to_parquet(records: list[TrialRecord]) -> bytes:
    """One row for each trial in the given order: its id, state, reason, best epoch, and a column for each key of its configuration."""
    rows = []
    for place, record in enumerate(records, start=1):
        config = record.config.model_dump(mode="json")
        durations = {"busy_s": sum(epoch.busy_s for epoch in record.epochs)}
        row = trial_to_json(place, record)
        row.pop("cost")
        cost = {f"cost.{field.name}": getattr(record.cost, field.name, None) for field in fields(TrialCost)}
        rows.append(row | durations | cost | {"config": json.dumps(config, sort_keys=True)} | record.config.flat())
    # Trials of custom models may have keys that others lack; without this the first row alone would decide the columns.
    columns = dict.fromkeys(key for row in rows for key in row)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: _column([row.get(name) for row in rows]) for name in columns}), sink)
    return bytes(sink.getvalue())


def _column(values: list[Any]) -> pa.Array:
    """The values as they are; as strings where a key of a custom model has values of several types."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values])
