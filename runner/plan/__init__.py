"""What a sweep would do and cost, before it costs anything: its trials, and a forecast of their duration."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.plan.epoch_times import EpochTimes
    from runner.plan.forecast import dry_run
    from runner.plan.plan import Plan, plan_sweep
    from runner.plan.probe import Probe

__all__ = ["EpochTimes", "Plan", "Probe", "dry_run", "plan_sweep"]

__getattr__ = lazy_names(
    __name__,
    {
        "forecast": ("dry_run",),
        "epoch_times": ("EpochTimes",),
        "plan": (
            "Plan",
            "plan_sweep",
        ),
        "probe": ("Probe",),
    },
)
