"""Forward selection (Caruana et al. 2004), pick by pick, with the exact arithmetic of whose picks are asked for.

`greedy` is the loop; `by_accuracy`, `by_loss`, `by_metric` and `by_reference_loss` say what a pick costs, `ties` which of equals
is taken, `running_mean` how the team's mean grows, `cost_budget` who still fits.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.selection.greedy.greedy import Costs, pick, select_greedily
    from ensembles.selection.greedy.running_mean import TeamSum

__all__ = ["Costs", "TeamSum", "pick", "select_greedily"]

__getattr__ = lazy_names(
    __name__,
    {
        "greedy": (
            "Costs",
            "pick",
            "select_greedily",
        ),
        "running_mean": ("TeamSum",),
    },
)
