"""All epochs of all trials of a run as one Parquet table, for analysis with other tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from trainables.results.record import EpochResult, TrialRecord

_METRIC_TYPES = {"metric": pa.string(), "validation_score": pa.float64()}
"""Columns that only a run has whose sweep asks for another metric than accuracy."""

_TYPES = {
    name: pa.int32() if kind is int else pa.float64()
    for name, kind in get_type_hints(EpochResult).items()
    if name in {field.name for field in fields(EpochResult)} - set(_METRIC_TYPES)
}
SCHEMA = pa.schema([("trial_id", pa.string()), *_TYPES.items(), ("images_per_s", pa.float64())])
"""A column for each field of `EpochResult`, null where an older version did not record it, and training images per second."""


def to_parquet(records: Sequence[TrialRecord], train_images: int) -> bytes:
    """One row for each epoch, trials in the given order, epochs rising. `train_images` is their number in the data set.

    `images_per_s` counts the images that a trial trains on, without incomplete batches; null for a trial that also trains on
    pseudo-labelled images, whose number is not on record.
    """
    rows = [
        {"trial_id": record.trial_id, **asdict(epoch), "images_per_s": _images_per_s(record, epoch, train_images)}
        for record in records
        for epoch in record.epochs
    ]
    has_metric = any(epoch.metric for record in records for epoch in record.epochs)
    schema = pa.schema([*SCHEMA, *_METRIC_TYPES.items()]) if has_metric else SCHEMA
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    return bytes(sink.getvalue())


def _images_per_s(record: TrialRecord, epoch: EpochResult, train_images: int) -> float | None:
    config = record.config
    if config.pseudo_table or epoch.train_s <= 0:
        return None
    images = round(config.train_share * train_images)
    if config.bag.kind == "fold":
        images -= round(images / config.bag.of)
    size = min(config.optimizer.batch_size, images)
    return round(images // size * size / epoch.train_s, 1) if size else None
