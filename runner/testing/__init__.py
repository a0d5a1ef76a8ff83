"""Contract suites for plug-ins: whether a store or a scheduler does what Caucus relies on.

`stores.store_checks()` and `schedulers.scheduler_checks()` give named checks, to be called with a function that makes a new
object; `check_store(make)` and `check_scheduler(make)` run them all. `scheduler_run` is the small run in which a scheduler is
watched. No pytest, torch or Ray is needed.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.testing.contract import Check
    from runner.testing.scheduler_run import SchedulerRun, Situation
    from runner.testing.schedulers import check_scheduler, scheduler_checks
    from runner.testing.stores import check_store, store_checks

__all__ = [
    "Check",
    "SchedulerRun",
    "Situation",
    "check_scheduler",
    "check_store",
    "scheduler_checks",
    "store_checks",
]

__getattr__ = lazy_names(
    __name__,
    {
        "contract": ("Check",),
        "scheduler_run": (
            "SchedulerRun",
            "Situation",
        ),
        "schedulers": (
            "check_scheduler",
            "scheduler_checks",
        ),
        "stores": (
            "check_store",
            "store_checks",
        ),
    },
)
