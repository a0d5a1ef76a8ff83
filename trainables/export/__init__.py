"""A team as one torch program: `program` writes and reads it without a pickle, `team_net` joins members and vote.

`team_vote` runs the votes of `ensembles.voting` in torch, `team_calibration` does in torch what `ensembles.calibration` does in numpy.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.export.program import read_program, write_program
    from trainables.export.team_calibration import build_calibration
    from trainables.export.team_net import MemberWeights, TeamNet
    from trainables.export.team_vote import TeamVote

__all__ = ["MemberWeights", "TeamNet", "TeamVote", "build_calibration", "read_program", "write_program"]

__getattr__ = lazy_names(
    __name__,
    {
        "program": (
            "read_program",
            "write_program",
        ),
        "team_calibration": ("build_calibration",),
        "team_net": (
            "MemberWeights",
            "TeamNet",
        ),
        "team_vote": ("TeamVote",),
    },
)
