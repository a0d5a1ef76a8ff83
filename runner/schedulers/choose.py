"""Builds the scheduler that a sweep file names."""

from __future__ import annotations

from runner.config.scheduler import SchedulerConfig
from runner.schedulers.asha import Asha
from runner.schedulers.asha_promote import PromotingAsha
from runner.schedulers.base import Scheduler, Unscheduled
from runner.schedulers.hyperband import HyperBand
from runner.schedulers.median import MedianStopping


def choose_scheduler(config: SchedulerConfig, seed: int) -> Scheduler:
    """The scheduler of a sweep or of one of its stages, with nothing recorded yet."""
    epochs, reduction, grace = config.max_epochs, config.reduction, config.grace_epochs
    match config.method:
        case "none":
            return Unscheduled()
        case "asha":
            return Asha(epochs, reduction, grace, brackets=config.brackets, seed=seed)
        case "asha-promote":
            return PromotingAsha(epochs, reduction, grace)
        case "hyperband":
            return HyperBand(epochs, reduction, grace)
        case "median":
            return MedianStopping(grace, config.min_trials)
