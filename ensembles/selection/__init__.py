"""Selects the team: members and weights, on validation alone.

`select.select` applies the configured method; `greedy` is forward selection (Caruana 2004) and has a package of its own;
`ranking`, `stable`, `smallest`, `cma_es` and `boosted` are the others. `retention` finds the checkpoints that can be deleted.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.selection.boosted import select_boosted
    from ensembles.selection.cma_es import select_by_cma_es
    from ensembles.selection.ranking import select_ranked
    from ensembles.selection.smallest import select_smallest
    from ensembles.selection.stable import select_stable

__all__ = ["select_boosted", "select_by_cma_es", "select_ranked", "select_smallest", "select_stable"]

__getattr__ = lazy_names(
    __name__,
    {
        "boosted": ("select_boosted",),
        "cma_es": ("select_by_cma_es",),
        "ranking": ("select_ranked",),
        "smallest": ("select_smallest",),
        "stable": ("select_stable",),
    },
)
