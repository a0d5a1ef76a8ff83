"""Scores of pruned checkpoints and soups beside the nets that they were made from."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.compression.pruned_curve import PrunedCurve
    from ensembles.compression.soup_summary import SoupSummary

__all__ = ["PrunedCurve", "SoupSummary"]

__getattr__ = lazy_names(__name__, {"pruned_curve": ("PrunedCurve",), "soup_summary": ("SoupSummary",)})
