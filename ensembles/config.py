"""How a sweep selects its team and combines its votes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from trainables.config.base import Frozen, OpenSection
from trainables.metric import Metric as Metric
from trainables.plugins.kinds import CALIBRATION, RULE, SELECTION, VOTE

VoteMethod = Annotated[str, AfterValidator(VOTE.check)]
SelectMethod = Annotated[str, AfterValidator(SELECTION.check)]
TieRule = Literal["caucus", "autogluon", "auto-sklearn"]
Calibration = Annotated[str, AfterValidator(CALIBRATION.check)]
PoolRule = Literal["best", "every", "snapshots"]
Correction = Literal["cross-fit", "bootstrap"]


class CostBudget(Frozen):
    """Limits on what the whole team costs to predict one image; a limit that is left out does not apply."""

    parameters: Annotated[int, Field(ge=1)] | None = None
    flops: Annotated[int, Field(ge=1)] | None = None
    latency_s: Annotated[float, Field(gt=0)] | None = None
    """Limit on the sum of the members' latencies, as measured where they were trained."""


class EnsembleConfig(OpenSection):
    """The `ensemble` part of a sweep file. `select`, `vote` and `calibrate` also take plug-ins, `module:function` or `package/name`,
    which may define further keys here."""

    PLUGIN_KEYS = ("select", "vote", "calibrate")

    select: SelectMethod = "greedy"
    """How members are selected. `best`: the best checkpoint alone; `top`: the `size` best; `all`: every candidate; `greedy`:
    forward selection with replacement, each pick the one that improves the team most (Caruana 2004); `greedy-once`: without
    replacement; `cma-es`: weights by CMA-ES; `stable`: members that bootstraps of the selection pick again and again;
    `smallest`: the fewest members that are statistically as good as greedy's; `boosted`: the rounds of
    `search.method: boosting`, each with its round's weight. A round of gradient boosting includes the rounds before it, so
    only the best one of each chain votes."""
    size: Annotated[int, Field(ge=1)] = 8
    """Picks of `greedy`, where one checkpoint may be picked more than once; the largest number of members elsewhere."""
    vote: VoteMethod = "soft"
    """`hard`: one vote a member, the most votes win; `majority`: the same, but a class needs more than half of the votes, else
    the soft vote decides; `soft`: mean of the members' probabilities; `geometric`: their normalised geometric mean; `weighted`:
    mean weighted by share of the picks; `confidence`: mean weighted, image by image, by each member's certainty; `rank`: mean of
    the ranks that members give to classes; `stacked`: a logistic regression on the members' log-probabilities."""
    metric: Metric = "log_loss"
    """The metric that `greedy` and the other selections optimise on validation. Where it is said, it decides everywhere: which epoch
    is a trial's best and stands for election, the order of trials, what search and scheduler maximise, and what the verdict is told
    in. Where it is left out, accuracy decides these, and selections optimise the log-loss."""
    pool: PoolRule = "best"
    """The candidates. `best`: each trial at its best epoch; `every`: every kept checkpoint of every trial; `snapshots`: the
    last epoch of each cycle of a cyclic schedule (Huang et al. 2017), of other trials the ends of five equal parts."""
    runs: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Other runs over the same data and split, in the same store, whose checkpoints may vote as well: `name/run`."""
    ties: TieRule = "caucus"
    """How greedy breaks ties. `caucus`: a member of the team first, then the lowest position; `autogluon` and `auto-sklearn`: as
    `EnsembleSelection` of these libraries does, with seeded random draws, so that the picks are the same."""
    start: Annotated[int, Field(ge=0)] = 0
    """Number of the best members that greedy starts from (Caruana 2004, sorted initialisation)."""
    bags: Annotated[int, Field(ge=1)] = 1
    """Number of selections, each from its own random half of the candidates, whose picks are counted together (Caruana 2006)."""
    diverse: bool = False
    """Whether greedy prefers, among equally good picks, the one whose errors are least like the team's."""
    budget: CostBudget = CostBudget()
    """Limits on the team's cost. Greedy takes only members that still fit, and weighs the gain against the cost."""
    calibrate: Calibration = "temperature"
    """How the vote's probabilities are calibrated, on validation, after averaging (Rahaman and Thiery 2020)."""
    correct: Correction = "bootstrap"
    """How scores are corrected for selection bias on validation. `bootstrap`: a bootstrap of the images selects, and the images
    that it did not draw score; `cross-fit`: nine tenths of the images select, and the other tenth scores."""
    bootstraps: Annotated[int, Field(ge=0, le=1000)] = 40
    """Repetitions of the whole selection for the corrected estimate and the band of the greedy path; 0 for neither."""
    rounds: Annotated[tuple[tuple[str, Annotated[float, Field(gt=0)]], ...], Field(strict=False)] = ()
    """`boosted`: the last checkpoint of each round, and its weight; left out, those that the run has recorded."""
    chains: Annotated[tuple[Annotated[tuple[str, ...], Field(strict=False)], ...], Field(strict=False)] = ()
    """`boosted`: for each chain of gradient boosting, the last checkpoint of each round, of which the best by `metric` votes;
    left out, those that the run has recorded."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of every random draw of the ensemble stage."""
    metric_is_said: Annotated[bool, Field(exclude_if=lambda is_said: not is_said)] = False
    """Whether somebody asked for `metric: log_loss`, which is the default as well. Filled in when the sweep is read; a record has all
    keys, and would not tell otherwise."""

    @property
    def deciding_metric(self) -> Metric:
        """The metric that decides everywhere: `metric` where that is said, else accuracy."""
        is_default = self.metric == type(self).model_fields["metric"].default
        return "accuracy" if is_default and not self.metric_is_said else self.metric


class DiagnosisConfig(Frozen):
    """The `diagnosis` part of a sweep file."""

    rules: Annotated[tuple[Annotated[str, AfterValidator(RULE.check)], ...], Field(strict=False)] = ()
    """Plug-ins, `module:value` or `package/name`: values of `ensembles.diagnosis.Rule`, checked in this order before the built-in
    rules."""
