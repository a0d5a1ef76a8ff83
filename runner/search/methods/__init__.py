"""The searches, one algorithm a file."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.search.methods.ablation import AblationSearch
    from runner.search.methods.bagging import BaggingSearch
    from runner.search.methods.boosting import BoostingSearch
    from runner.search.methods.grid import MeshSearch
    from runner.search.methods.ladder import LadderSearch
    from runner.search.methods.model_based import ModelledSearch
    from runner.search.methods.pbt import PopulationSearch
    from runner.search.methods.random import RandomSearch
    from runner.search.methods.replay import ReplaySearch

__all__ = [
    "AblationSearch",
    "BaggingSearch",
    "BoostingSearch",
    "LadderSearch",
    "MeshSearch",
    "ModelledSearch",
    "PopulationSearch",
    "RandomSearch",
    "ReplaySearch",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ablation": ("AblationSearch",),
        "bagging": ("BaggingSearch",),
        "boosting": ("BoostingSearch",),
        "grid": ("MeshSearch",),
        "ladder": ("LadderSearch",),
        "model_based": ("ModelledSearch",),
        "pbt": ("PopulationSearch",),
        "random": ("RandomSearch",),
        "replay": ("ReplaySearch",),
    },
)
