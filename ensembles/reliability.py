"""How far confidence can be trusted: accuracy by confidence, and risk by coverage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bin:
    """Images whose confidence lies in (low, high]; `confidence` and `accuracy` are their means, 0 where there are none."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float
