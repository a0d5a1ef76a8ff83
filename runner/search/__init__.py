"""Which trials there are. A search is a fold over the run's journal that is asked when a slot is free.

`base.protocol.Search` is the protocol, `methods` has one algorithm a file, `choose` goes from a sweep file to a search;
`stages`, `warm_start` and `pseudo_labels` put searches after one another.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.search.base.protocol import Search
    from runner.search.choose import choose_search, list_trials
    from runner.search.stages import StagedSearch

__all__ = ["Search", "StagedSearch", "choose_search", "list_trials"]

__getattr__ = lazy_names(
    __name__,
    {
        "base.protocol": ("Search",),
        "choose": (
            "choose_search",
            "list_trials",
        ),
        "stages": ("StagedSearch",),
    },
)
