"""The summary of a search for the report. Every part may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ensembles.analysis.ablation import Ablation
from ensembles.analysis.pruning_audit import PruningAudit
from ensembles.analysis.seed_noise import SeedNoise
from trainables.metric import Metric


@dataclass(frozen=True)
class SearchDecision:
    """A decision that the search, or its controller, made from results."""

    stage: str
    """Name of the stage; "" if there are no stages."""
    what: str
    """Kind of decision. stage: its best configuration; border: a mesh grew, or could not; range: learning rates found for an
    architecture; step: whether a step of a ladder pays; ladder: where it ends; warm-start; generation: of a population; audit;
    budget."""
    reason: str
    """The reason in words, with the figures that it is based on."""
    trial_id: str | None = None


@dataclass(frozen=True)
class StageRow:
    """One stage of the search, or the whole search."""

    name: str
    method: str
    trials: int
    epochs: int
    """Epochs that were trained."""
    best: float | None
    """Merit of its best trial on validation: the accuracy, or see `EpochResult.merit`; None if no trial has completed an epoch."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """Dotted keys that it searched, with the values of its best trial."""
    metric: Metric = "accuracy"
    """What `best` is a merit by."""


@dataclass(frozen=True)
class RangeCurve:
    """The learning-rate range test of one architecture (Smith 2017)."""

    label: str
    """Name of the architecture."""
    rates: tuple[float, ...]
    """Learning rates, rising."""
    losses: tuple[float, ...]
    """Smoothed training losses, one a rate."""
    low: float
    """Lower end of the range that the search draws from."""
    high: float
    """Upper end of the range that the search draws from."""


@dataclass(frozen=True)
class LineageStep:
    """One segment of the lineage that ends with the best member of a population."""

    first_epoch: int
    last_epoch: int
    trial_id: str
    values: Mapping[str, Any]
    """Values of the dotted keys that the population varies."""
    accuracy: float
    """Merit on validation at its last epoch: the accuracy, or see `EpochResult.merit`."""
    metric: Metric = "accuracy"


@dataclass(frozen=True)
class SearchSummary:
    """Everything that a report shows on the search."""

    decisions: tuple[SearchDecision, ...] = ()
    """Decisions in the order in which they were made."""
    stages: tuple[StageRow, ...] = ()
    ablation: Ablation | None = None
    noise: SeedNoise | None = None
    audit: PruningAudit | None = None
    range_tests: tuple[RangeCurve, ...] = ()
    lineage: tuple[LineageStep, ...] = ()
    rungs: tuple[int, ...] = ()
    """Epochs at which trials are ended, rising."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Searched range of each numeric key, by dotted key, over all stages together."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show but the searched ranges."""
        return replace(self, rungs=(), ranges={}) == SearchSummary()
