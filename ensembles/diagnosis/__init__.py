"""Diagnoses a trial from its epochs alone: one verdict, with evidence and what to try next.

`signs` computes numbers from the epochs, `rules` maps them to verdicts, `diagnose` applies the rules.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.diagnosis.custom import find_rules
    from ensembles.diagnosis.diagnose import Diagnosis, diagnose_all
    from ensembles.diagnosis.learning_curve import find_data_curves
    from ensembles.diagnosis.rules import Rule

__all__ = ["Diagnosis", "Rule", "diagnose_all", "find_data_curves", "find_rules"]

__getattr__ = lazy_names(
    __name__,
    {
        "custom": ("find_rules",),
        "diagnose": (
            "Diagnosis",
            "diagnose_all",
        ),
        "learning_curve": ("find_data_curves",),
        "rules": ("Rule",),
    },
)
