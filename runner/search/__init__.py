"""Which trials there are. A search is a fold over the run's journal that is asked when a slot is free.

`base.protocol.Search` is the protocol, `methods` has one algorithm a file, `choose` goes from a sweep file to a search;
`stages`, `warm_start` and `pseudo_labels` put searches after one another.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.search.base.protocol import Decide, Measure, Over, Plan, Search, Wait
    from runner.search.base.stage_context import Progress, StageContext
    from runner.search.choose import choose_search, list_trials
    from runner.search.stages import StagedSearch

__all__ = [
    "Decide",
    "Measure",
    "Over",
    "Plan",
    "Progress",
    "Search",
    "StageContext",
    "StagedSearch",
    "Wait",
    "choose_search",
    "list_trials",
]

__getattr__ = lazy_names(
    __name__,
    {
        "base.protocol": ("Decide", "Measure", "Over", "Plan", "Search", "Wait"),
        "base.stage_context": ("Progress", "StageContext"),
        "choose": (
            "choose_search",
            "list_trials",
        ),
        "stages": ("StagedSearch",),
    },
)
