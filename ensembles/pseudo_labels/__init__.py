"""Which unlabelled images an ensemble is sure of, and what a second stage that trains on them has gained."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.pseudo_labels.agreement import Agreement, agree
    from ensembles.pseudo_labels.labelling import Labelling, count_labels
    from ensembles.pseudo_labels.summary import PseudoLabelSummary

__all__ = ["Agreement", "Labelling", "PseudoLabelSummary", "agree", "count_labels"]

__getattr__ = lazy_names(
    __name__,
    {
        "agreement": (
            "Agreement",
            "agree",
        ),
        "labelling": (
            "Labelling",
            "count_labels",
        ),
        "summary": ("PseudoLabelSummary",),
    },
)
