"""The report as JSON: the same figures, without drawings."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from ensembles.report.charts.charts import Chart
from ensembles.report.sweep.data import Picture
from ensembles.report.team.baselines import Drawn
from trainables.results.record import TrialRecord


def to_plain(value: Any) -> Any:
    """`value` as plain JSON values: a dataclass as its fields by name, a trial or a picture as its id, a chart as its caption.

    NaN and infinity become null, and so do positions in a drawing. Raises `TypeError` for unsupported types.
    """
    if isinstance(value, Drawn):
        return None
    if isinstance(value, TrialRecord):
        return value.trial_id
    if isinstance(value, Picture):
        return value.image_id
    if isinstance(value, Chart):
        return value.caption
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if is_dataclass(value):
        found = ((each.name, getattr(value, each.name)) for each in fields(value))
        return {name: to_plain(one) for name, one in found if not isinstance(one, Drawn)}
    if isinstance(value, dict):
        return {str(key): to_plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"a report cannot represent {value!r} ({type(value).__name__}) as JSON")
