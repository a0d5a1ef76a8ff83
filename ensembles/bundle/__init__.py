"""A team as a folder that can be deployed: manifest, model card, cascade, and the decision that it makes."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.bundle.cascade import Cascade, fit_cascade
    from ensembles.bundle.decision import Decision, decide
    from ensembles.bundle.manifest import Bundle, Manifest, read_bundle, write_bundle
    from ensembles.bundle.model_card import write_card

__all__ = [
    "Bundle",
    "Cascade",
    "Decision",
    "Manifest",
    "decide",
    "fit_cascade",
    "read_bundle",
    "write_bundle",
    "write_card",
]

__getattr__ = lazy_names(
    __name__,
    {
        "cascade": (
            "Cascade",
            "fit_cascade",
        ),
        "decision": (
            "Decision",
            "decide",
        ),
        "manifest": (
            "Bundle",
            "Manifest",
            "read_bundle",
            "write_bundle",
        ),
        "model_card": ("write_card",),
    },
)
