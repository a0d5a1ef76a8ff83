"""What a search did and found out, as the report tells it. All of it may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ensembles.analysis.ablation import Ablation
from ensembles.analysis.pruning_audit import PruningAudit
from ensembles.analysis.seed_noise import SeedNoise


@dataclass(frozen=True)
class SearchDecision:
    """Something that the search, or who steers it, decided from results."""

    stage: str
    """"" where there are no stages."""
    what: str
    """stage: one chose its best; border: a mesh grew, or could not; range: learning rates found for an architecture;
    step: of a ladder, whether it pays; ladder: where it ends; warm-start; generation: of a population; audit; budget."""
    reason: str
    """For a person, with the figures that it rests on."""
    trial_id: str | None = None


@dataclass(frozen=True)
class StageRow:
    """One stage of the search, or the whole search."""

    name: str
    method: str
    trials: int
    epochs: int
    """That were trained."""
    best: float | None
    """Validation accuracy of its best trial; None where no trial has come to the end of an epoch."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """Dotted keys that it searched, as its best trial has them."""


@dataclass(frozen=True)
class RangeCurve:
    """The learning-rate range test of one architecture (Smith 2017)."""

    label: str
    """Names the architecture."""
    rates: tuple[float, ...]
    """Learning rates, rising."""
    losses: tuple[float, ...]
    """Training loss, smoothed, one a rate."""
    low: float
    high: float
    """Between these two the search draws."""


@dataclass(frozen=True)
class LineageStep:
    """One stretch of the chain that the best member of a population is the end of."""

    first_epoch: int
    last_epoch: int
    trial_id: str
    values: Mapping[str, Any]
    """Dotted keys that the population varies."""
    accuracy: float
    """On validation, at its last epoch."""


@dataclass(frozen=True)
class SearchSummary:
    """Everything that a report tells of the search."""

    decisions: tuple[SearchDecision, ...] = ()
    """In the order in which they were taken."""
    stages: tuple[StageRow, ...] = ()
    ablation: Ablation | None = None
    noise: SeedNoise | None = None
    audit: PruningAudit | None = None
    range_tests: tuple[RangeCurve, ...] = ()
    lineage: tuple[LineageStep, ...] = ()
    rungs: tuple[int, ...] = ()
    """Epochs at which trials are ended, rising."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Of dotted keys that are numbers, between which values the search looked: of all stages together."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell but where the search looked."""
        return replace(self, rungs=(), ranges={}) == SearchSummary()
