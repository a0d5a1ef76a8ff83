"""Contract suites for plug-ins: whether a store, a scheduler or a search does what Caucus relies on.

`stores.store_checks()`, `schedulers.scheduler_checks()` and `searches.search_checks()` give named checks, to be called with
a function that makes a new object; `check_store(make)` and its likes run them all. `scheduler_run` and `search_run` are the
small runs in which the objects are watched, `decisions` decides a recorded run again. No pytest, torch or Ray is needed.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.testing.contract import Check
    from runner.testing.decisions import check_decisions
    from runner.testing.scheduler_run import SchedulerRun, Situation
    from runner.testing.schedulers import check_scheduler, scheduler_checks
    from runner.testing.search_run import SearchRun
    from runner.testing.searches import check_search, search_checks
    from runner.testing.stores import check_store, store_checks

__all__ = [
    "Check",
    "SchedulerRun",
    "SearchRun",
    "Situation",
    "check_decisions",
    "check_scheduler",
    "check_search",
    "check_store",
    "scheduler_checks",
    "search_checks",
    "store_checks",
]

__getattr__ = lazy_names(
    __name__,
    {
        "contract": ("Check",),
        "decisions": ("check_decisions",),
        "scheduler_run": (
            "SchedulerRun",
            "Situation",
        ),
        "schedulers": (
            "check_scheduler",
            "scheduler_checks",
        ),
        "search_run": ("SearchRun",),
        "searches": (
            "check_search",
            "search_checks",
        ),
        "stores": (
            "check_store",
            "store_checks",
        ),
    },
)
