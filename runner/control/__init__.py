"""What a free slot does next, without Ray: search and scheduler brought together, budgets, and a simulator of both.

`controller` is called by Ray Tune in a run, and by `simulator` in a plan.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.control.budget import Budget
    from runner.control.controller import TrialController
    from runner.control.price import find_price
    from runner.control.simulator import simulate
    from runner.control.task import RangeTask, TrialTask

__all__ = ["Budget", "RangeTask", "TrialController", "TrialTask", "find_price", "simulate"]

__getattr__ = lazy_names(
    __name__,
    {
        "budget": ("Budget",),
        "controller": ("TrialController",),
        "price": ("find_price",),
        "simulator": ("simulate",),
        "task": (
            "RangeTask",
            "TrialTask",
        ),
    },
)
