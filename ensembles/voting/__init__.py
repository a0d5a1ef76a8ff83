"""Combines the members' predictions into one, by eight voting methods.

`vote.fit_voter` fits what has to be fitted (stacking), `vote.Voter` applies it; `means` and `counting` are the arithmetic.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.voting.vote import Ballot, Voter, fit_voter, read_voter

__all__ = ["Ballot", "Voter", "fit_voter", "read_voter"]

__getattr__ = lazy_names(
    __name__,
    {
        "vote": (
            "Ballot",
            "Voter",
            "fit_voter",
            "read_voter",
        )
    },
)
