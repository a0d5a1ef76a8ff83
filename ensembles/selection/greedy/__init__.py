"""Forward selection (Caruana et al. 2004), pick by pick, with the exact arithmetic of the library whose picks are reproduced.

`greedy` is the loop; `by_accuracy`, `by_loss`, `by_metric` and `by_reference_loss` compute the cost of each pick, `ties` breaks
ties, `running_mean` updates the team's mean, `cost_budget` checks which candidates still fit.
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
