"""Corrects validation scores for selection bias: the whole selection is repeated on bootstraps."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.selection_bias.corrected import Corrected, CorrectedScore, correct
    from ensembles.selection_bias.estimate import Estimate
    from ensembles.selection_bias.repeat import repeat_selection

__all__ = ["Corrected", "CorrectedScore", "Estimate", "correct", "repeat_selection"]

__getattr__ = lazy_names(
    __name__,
    {
        "corrected": (
            "Corrected",
            "CorrectedScore",
            "correct",
        ),
        "estimate": ("Estimate",),
        "repeat": ("repeat_selection",),
    },
)
