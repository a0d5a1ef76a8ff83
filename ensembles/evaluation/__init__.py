"""The evaluation of a team: the one place where predictions on the test split are scored, after every choice is made.

`verdict.evaluate` prepares and scores; `ledger` counts every use of a split; `gather` collects the evidence for a report;
`by_source` tells it for each camera or clinic.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.evaluation.by_source import SourceScore, score_sources
    from ensembles.evaluation.comparison import measure_change
    from ensembles.evaluation.evidence import Evidence
    from ensembles.evaluation.gather import gather_evidence
    from ensembles.evaluation.ledger import Ledger
    from ensembles.evaluation.score import Score, score_vote
    from ensembles.evaluation.verdict import Verdict, evaluate, evaluate_prepared, prepare

__all__ = [
    "Evidence",
    "Ledger",
    "Score",
    "SourceScore",
    "Verdict",
    "evaluate",
    "evaluate_prepared",
    "gather_evidence",
    "measure_change",
    "prepare",
    "score_sources",
    "score_vote",
]

__getattr__ = lazy_names(
    __name__,
    {
        "by_source": ("SourceScore", "score_sources"),
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
            "evaluate_prepared",
            "prepare",
        ),
    },
)
