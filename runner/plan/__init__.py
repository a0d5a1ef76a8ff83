"""What a sweep would do and cost, before it costs anything: its trials, how long they take, what it will come to."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.plan.forecast import survey
    from runner.plan.pace import Pace
    from runner.plan.plan import Plan, plan_sweep
    from runner.plan.probe import Probe

__all__ = ["Pace", "Plan", "Probe", "plan_sweep", "survey"]

__getattr__ = lazy_names(
    __name__,
    {
        "forecast": ("survey",),
        "pace": ("Pace",),
        "plan": (
            "Plan",
            "plan_sweep",
        ),
        "probe": ("Probe",),
    },
)
