"""Metrics and their values as a person reads them."""

from __future__ import annotations

from trainables.metric import describe_direction as describe_direction
from trainables.metric import describe_unit as describe_unit
from trainables.metric import name_metric as name_metric
from trainables.metric import show_loss as show_loss
from trainables.metric import show_score as show_score

MISSING = "\N{EN DASH}"
"""Shown in place of a missing figure."""
