"""What all searches share: the protocol, the part of a sweep file that they work on, the best configuration so far."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.search.base.protocol import Decide, Measure, Over, Plan, Search, Wait
    from runner.search.base.stage_context import StageContext

__all__ = ["Decide", "Measure", "Over", "Plan", "Search", "StageContext", "Wait"]

__getattr__ = lazy_names(
    __name__,
    {
        "protocol": (
            "Decide",
            "Measure",
            "Over",
            "Plan",
            "Search",
            "Wait",
        ),
        "stage_context": ("StageContext",),
    },
)
