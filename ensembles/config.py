"""How a sweep chooses its team and lets it vote."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainables.config.base import Frozen

VoteMethod = Literal["hard", "majority", "soft", "geometric", "weighted", "confidence", "rank", "stacked"]
SelectMethod = Literal["best", "top", "all", "greedy", "greedy-once", "cma-es", "stable", "smallest", "boosted"]
Metric = Literal["log_loss", "accuracy", "balanced_accuracy", "macro_f1", "auc", "brier"]
TieRule = Literal["caucus", "autogluon", "auto-sklearn"]
Calibration = Literal["none", "temperature", "vector", "isotonic"]
PoolRule = Literal["best", "every", "snapshots"]
Correction = Literal["cross-fit", "bootstrap"]


class CostBudget(Frozen):
    """What the whole team may cost when it predicts one image; left out, anything."""

    parameters: Annotated[int, Field(ge=1)] | None = None
    flops: Annotated[int, Field(ge=1)] | None = None
    latency_s: Annotated[float, Field(gt=0)] | None = None
    """Sum of the members' latencies, as measured where they were trained."""


class EnsembleConfig(Frozen):
    """The `ensemble` part of a sweep file."""

    select: SelectMethod = "greedy"
    """Who votes. `best`: the best checkpoint alone; `top`: the `size` best; `all`: every candidate; `greedy`: who improves the
    team most, pick by pick, with replacement (Caruana 2004); `greedy-once`: without; `cma-es`: weights by CMA-ES; `stable`: members
    that bootstraps of the selection pick again and again; `smallest`: the fewest that are statistically as good as greedy's;
    `boosted`: the rounds of `search.method: boosting`, each weighted as its round says; of gradient boosting, each round of
    which holds those before, the best one of each chain alone."""
    size: Annotated[int, Field(ge=1)] = 8
    """Picks of `greedy`, where one checkpoint may be picked more than once; at most so many members elsewhere."""
    vote: VoteMethod = "soft"
    """`hard`: one voice a member, the most vote_counts win; `majority`: the same, but only more than half of the vote_counts win, else the
    soft vote decides; `soft`: mean of the members' probabilities; `geometric`: their normalised geometric mean; `weighted`: mean by
    share of the picks; `confidence`: mean weighted, image by image, by how sure each member is; `rank`: mean of the ranks
    that members give to classes; `stacked`: a logistic regression on the members' log-probabilities."""
    metric: Metric = "log_loss"
    """What `greedy` and its kin improve on validation, and how `best` and `top` rank where it is set."""
    pool: PoolRule = "best"
    """The candidates. `best`: each trial at its best epoch; `every`: every kept checkpoint of every trial; `snapshots`: the
    last epoch of each cycle of a cyclic schedule (Huang et al. 2017), of other trials the ends of five equal parts."""
    runs: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Other runs over the same data and split, in the same store, whose checkpoints may vote as well: `name/run`."""
    ties: TieRule = "caucus"
    """Which of equal picks greedy takes. `caucus`: one of the team, then the lowest position; `autogluon` and `auto-sklearn`:
    as `EnsembleSelection` of these does, random choices seeded, so that the picks are theirs."""
    start: Annotated[int, Field(ge=0)] = 0
    """Members that greedy starts from: so many of the best (Caruana 2004, sorted initialisation)."""
    bags: Annotated[int, Field(ge=1)] = 1
    """Selections, each from its own random half of the candidates, whose picks are counted together (Caruana 2006)."""
    diverse: bool = False
    """Whether of equally good picks the one goes first whose errors are least like the team's."""
    budget: CostBudget = CostBudget()
    """Greedy takes only who still fits, and weighs the gain against the cost."""
    calibrate: Calibration = "temperature"
    """How the vote's probabilities are made honest, on validation, after averaging (Rahaman and Thiery 2020)."""
    correct: Correction = "bootstrap"
    """How scores are freed of having been selected on validation. `bootstrap`: the images that a bootstrap did not draw score
    what it selects; `cross-fit`: each tenth of the images scores what the other nine select."""
    bootstraps: Annotated[int, Field(ge=0, le=1000)] = 40
    """Repetitions of the whole selection behind the corrected estimate and the band of the greedy path; 0 for neither."""
    rounds: Annotated[tuple[tuple[str, Annotated[float, Field(gt=0)]], ...], Field(strict=False)] = ()
    """`boosted`: the checkpoint that each round ended with, and its weight; left out, those that the run has on record."""
    chains: Annotated[tuple[Annotated[tuple[str, ...], Field(strict=False)], ...], Field(strict=False)] = ()
    """`boosted`: the checkpoints that the rounds of each chain of gradient boosting ended with, of which the best by `metric`
    votes; left out, those that the run has on record."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of every random draw of the ensemble stage."""
