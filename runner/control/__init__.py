"""What a free slot does next, without Ray: search and scheduler brought together, budgets, and a simulator of both.

`controller` is asked by whoever places trials: by Ray Tune in a run, by `simulator` in a plan.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.control.budget import Budget
    from runner.control.controller import Conductor
    from runner.control.price import find_price
    from runner.control.simulator import rehearse
    from runner.control.task import RangeTask, TrialTask

__all__ = ["Budget", "Conductor", "RangeTask", "TrialTask", "find_price", "rehearse"]

__getattr__ = lazy_names(
    __name__,
    {
        "budget": ("Budget",),
        "controller": ("Conductor",),
        "price": ("find_price",),
        "simulator": ("rehearse",),
        "task": (
            "RangeTask",
            "TrialTask",
        ),
    },
)
