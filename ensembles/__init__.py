"""From predictions to a team that is worth shipping, or not: selection, votes, calibration, verdict, report.

All of it works on probabilities in memory, float32 (members, images, classes), or in a store; nothing imports torch or Ray.
Start with `pool` (the candidates), `selection` (who votes), `voting` (how) and `evaluation` (what it is worth).
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.calibration.calibrate import fit_calibration
    from ensembles.config import EnsembleConfig
    from ensembles.diagnosis.rules import Verdict
    from ensembles.evaluation.verdict import evaluate
    from ensembles.pool.pool import PredictionPool
    from ensembles.selection.select import select
    from ensembles.team import Team
    from ensembles.voting.vote import Voter, fit_voter

__all__ = [
    "EnsembleConfig",
    "PredictionPool",
    "Team",
    "Verdict",
    "Voter",
    "evaluate",
    "fit_calibration",
    "fit_voter",
    "select",
]

__getattr__ = lazy_names(
    __name__,
    {
        "calibration.calibrate": ("fit_calibration",),
        "config": ("EnsembleConfig",),
        "diagnosis.rules": ("Verdict",),
        "evaluation.verdict": ("evaluate",),
        "pool.pool": ("PredictionPool",),
        "selection.select": ("select",),
        "team": ("Team",),
        "voting.vote": (
            "Voter",
            "fit_voter",
        ),
    },
)
