"""Analyses of a search: importance of hyperparameters, ablations, seed noise, and an audit of pruning."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.analysis.ablation import compare
    from ensembles.analysis.importance import measure_importance
    from ensembles.analysis.pruning_audit import evaluate_pruning
    from ensembles.analysis.search_summary import SearchSummary
    from ensembles.analysis.seed_noise import measure_noise

__all__ = ["SearchSummary", "compare", "evaluate_pruning", "measure_importance", "measure_noise"]

__getattr__ = lazy_names(
    __name__,
    {
        "ablation": ("compare",),
        "importance": ("measure_importance",),
        "pruning_audit": ("evaluate_pruning",),
        "search_summary": ("SearchSummary",),
        "seed_noise": ("measure_noise",),
    },
)
