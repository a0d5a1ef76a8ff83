"""The `pseudo_labels` part of a sweep file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trainables.config.base import Frozen
from trainables.datasets.unlabelled import UnlabelledData

PSEUDO = "pseudo"
"""Name of the stage that trains with pseudo-labels, and of the decision that begins it."""


class PseudoConfig(Frozen):
    """The team labels the images on which it agrees (Lee 2013), and its configurations are trained again with them."""

    data: UnlabelledData
    """The unlabelled images: a source as in `data`, or `rest`: the training images that `train_share` leaves out."""
    confidence: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Probability that the vote must give a class."""
    agreement: Annotated[int, Field(ge=1)] = 3
    """How many members must predict that class."""
    trials: Annotated[int, Field(ge=1)] | None = None
    """How many of the best trials are trained again; left out, those of the team."""
