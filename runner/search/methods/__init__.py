"""The searches, one algorithm a file."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.search.methods.ablation import AblationSearch
    from runner.search.methods.bagging import BaggingSearch
    from runner.search.methods.boosting import BoostingSearch
    from runner.search.methods.grid import GridSearch
    from runner.search.methods.ladder import CapacityLadderSearch
    from runner.search.methods.model_based import ModelBasedSearch
    from runner.search.methods.pbt import PBTSearch
    from runner.search.methods.random import RandomSearch
    from runner.search.methods.replay import ReplaySearch

__all__ = [
    "AblationSearch",
    "BaggingSearch",
    "BoostingSearch",
    "CapacityLadderSearch",
    "GridSearch",
    "ModelBasedSearch",
    "PBTSearch",
    "RandomSearch",
    "ReplaySearch",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ablation": ("AblationSearch",),
        "bagging": ("BaggingSearch",),
        "boosting": ("BoostingSearch",),
        "grid": ("GridSearch",),
        "ladder": ("CapacityLadderSearch",),
        "model_based": ("ModelBasedSearch",),
        "pbt": ("PBTSearch",),
        "random": ("RandomSearch",),
        "replay": ("ReplaySearch",),
    },
)
