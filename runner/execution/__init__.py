"""Trials on Ray Tune: placed, recorded, waited for, and ended where they hang.

Tune decides which trial advances where, and nothing else: what comes next is asked of `runner.control`.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.execution.ray_scheduler import RayScheduler
    from runner.execution.trial_queue import TrialQueue
    from runner.execution.waiting import Waiting
    from runner.execution.watchdog import Watchdog

__all__ = ["RayScheduler", "TrialQueue", "Waiting", "Watchdog"]

__getattr__ = lazy_names(
    __name__,
    {
        "ray_scheduler": ("RayScheduler",),
        "trial_queue": ("TrialQueue",),
        "waiting": ("Waiting",),
        "watchdog": ("Watchdog",),
    },
)
