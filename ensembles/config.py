"""How a sweep chooses its team and lets it vote."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainables.config import Frozen

VoteMethod = Literal["hard", "soft", "weighted"]


class EnsembleConfig(Frozen):
    """The `ensemble` part of a sweep file."""

    select: Literal["best", "top", "all", "greedy"] = "greedy"
    """Who votes. `best`: the checkpoint with the highest validation accuracy alone; `top`: the `size` best of these;
    `all`: every candidate; `greedy`: who improves the team most, pick by pick (Caruana 2004)."""
    size: Annotated[int, Field(ge=1)] = 8
    """Picks of `greedy`, where one checkpoint may be picked more than once; members of `top`. Nothing to the others."""
    vote: VoteMethod = "soft"
    """`soft`: mean of the members' probabilities; `hard`: one voice a member; `weighted`: mean by share of the picks."""
    metric: Literal["log_loss", "accuracy"] = "log_loss"
    """What `greedy` improves on validation. `best` and `top` go by accuracy, whatever stands here."""
    pool: Literal["best", "every"] = "best"
    """The candidates. `best`: each trial at its best epoch; `every`: every kept checkpoint of every trial."""
