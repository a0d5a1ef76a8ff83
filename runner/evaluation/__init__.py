"""The results of a stored run: its team, its verdict, its report, its diagnosis. Reads nothing but the store."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.evaluation.conclusion import Conclusion, choose_and_evaluate, evaluate_team, publish
    from runner.evaluation.diagnosis import diagnose_run
    from runner.evaluation.revote import vote_again

__all__ = ["Conclusion", "choose_and_evaluate", "diagnose_run", "evaluate_team", "publish", "vote_again"]

__getattr__ = lazy_names(
    __name__,
    {
        "conclusion": (
            "Conclusion",
            "choose_and_evaluate",
            "evaluate_team",
            "publish",
        ),
        "diagnosis": ("diagnose_run",),
        "revote": ("vote_again",),
    },
)
