"""What a team is worth: the one place where predictions on the test split are scored, after all has been chosen.

`verdict.evaluate` prepares and judges; `ledger` counts every look at a split; `gather` collects the evidence for a report.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.evaluation.comparison import measure_change
    from ensembles.evaluation.evidence import Evidence
    from ensembles.evaluation.gather import gather_evidence
    from ensembles.evaluation.ledger import Ledger
    from ensembles.evaluation.score import Score, score_vote
    from ensembles.evaluation.verdict import Verdict, evaluate, judge, prepare

__all__ = [
    "Evidence",
    "Ledger",
    "Score",
    "Verdict",
    "evaluate",
    "gather_evidence",
    "judge",
    "measure_change",
    "prepare",
    "score_vote",
]

__getattr__ = lazy_names(
    __name__,
    {
        "comparison": ("measure_change",),
        "evidence": ("Evidence",),
        "gather": ("gather_evidence",),
        "ledger": ("Ledger",),
        "score": (
            "Score",
            "score_vote",
        ),
        "verdict": (
            "Verdict",
            "evaluate",
            "judge",
            "prepare",
        ),
    },
)
