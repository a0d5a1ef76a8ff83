"""The `search` section of a sweep file, its methods and its stages: which trials there are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, model_validator

from runner.config.scheduler import SchedulerConfig
from runner.space.distribution import Distribution
from runner.space.parse import parse_distribution
from trainables.config.base import Frozen, OpenSection
from trainables.plugins.kind import is_plugin
from trainables.plugins.kinds import SEARCH

Space = dict[str, Annotated[Distribution, PlainValidator(parse_distribution), PlainSerializer(Distribution.to_dict)]]
Scalar = str | int | float | bool | None
Values = dict[str, Scalar]

SearchMethod = Annotated[str, AfterValidator(SEARCH.check)]

DRAWN: tuple[SearchMethod, ...] = ("random", "tpe", "gp", "bohb")
"""Methods whose number of trials is a key: `trials`."""
MESHES: tuple[SearchMethod, ...] = ("grid", "jittered")
MODELLED: tuple[SearchMethod, ...] = ("tpe", "gp", "bohb")

DEFAULT_TRIALS = 16
DEFAULT_BORDER = 3

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""Names of sweeps, runs and stages: they become folders of a store, and arguments in a shell."""


class PopulationConfig(Frozen):
    """`pbt`: how a population evolves (Jaderberg et al. 2017)."""

    size: Annotated[int, Field(ge=2, le=10_000)] = 8
    """Number of members; each is a chain of segments, each segment a trial."""
    interval: Annotated[int, Field(ge=1)] = 1
    """Epochs of a segment."""
    quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """Share of the members, the worst ones, that continue from a checkpoint of the same share of the best."""
    resample: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Probability that a key of such a member is sampled again; otherwise it is perturbed."""
    factor: Annotated[float, Field(gt=1)] = 1.2
    """A perturbed number is multiplied or divided by this; a choice moves to a neighbour."""


class BagsConfig(Frozen):
    """`bagging`: the same configuration on different training images (Breiman 1996)."""

    kind: Literal["bootstrap", "fold"] = "bootstrap"
    """`bootstrap`: as many images as there are, drawn with replacement; `fold`: all but one of `count` folds."""
    count: Annotated[int, Field(ge=2, le=1000)] = 10
    """Members, one a bag; more bootstraps only add to the end."""


class BoostingConfig(Frozen):
    """`boosting`: rounds of the same configuration, each of which concentrates on the errors of the earlier ones."""

    kind: Literal["samme", "gradient"] = "samme"
    """`samme`: misclassified images get more weight, and the rounds vote (Zhu et al. 2009); `gradient`: each round adds a net to the
    logits of the earlier ones, which are frozen, and descends the loss of the sum (Friedman 2001)."""
    rounds: Annotated[int, Field(ge=1, le=1000)] = 5
    """The most rounds; a round of `samme` that is no better than guessing, or has every training image right, is the last one."""
    shrinkage: Annotated[float, Field(gt=0, le=1)] = 1.0
    """`gradient`: the factor of the logits of each net after the first. Friedman shrinks by 0.1 or less, since a tree is
    fitted at a stroke; a net descends the loss of the sum, can undo the factor by larger weights, and has its own rate, epochs
    and decay against overfitting. So 1: each net unscaled. A smaller factor begins nearer to the round before, and learns slower."""
    stop_early: bool = False
    """`gradient`: a round whose validation loss at its end is not below that of the round before is the last one."""

    @model_validator(mode="after")
    def _keys_belong_to_the_kind(self) -> BoostingConfig:
        for key in ("shrinkage", "stop_early"):
            if self.kind != "gradient" and getattr(self, key) != BoostingConfig.model_fields[key].default:
                raise ValueError(f"{key} means nothing to kind {self.kind}: it goes with gradient; remove it")
        return self


class WarmStartConfig(Frozen):
    """Results of an earlier run over the same data that a search begins with."""

    run: str
    """`NAME` or `NAME/RUN` in the sweep's own store."""
    best: Annotated[int, Field(ge=0)] = 5
    """How many of its best points come first."""
    tell: bool = True
    """`tpe`, `gp`, `bohb`: whether the model begins with all of its results."""
    other_data: bool = False
    """Whether it may be a run over other data: then its best points come first, but the model gets none of its results."""


class MethodConfig(OpenSection):
    """One search method with its keys, of a sweep or of one of its stages."""

    PLUGIN_KEYS = ("method",)

    method: SearchMethod = "random"
    """`random` draws; `grid` takes every point of a mesh; `jittered` shifts each point a little; `tpe`, `gp`, `bohb`
    learn where to sample (Optuna); `pbt` evolves a population; `ablation` takes changes one at a time; `ladder` grows
    the net until the gain no longer pays; `replay` trains the schedule that a `pbt` run has found; `bagging` trains one
    configuration on different training images; `boosting` trains in rounds, each on the errors of the earlier ones. Or a plug-in,
    `module:function` or `package/name`, which may use all keys of this section and define further ones."""
    trials: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Number of trials of `random`, `tpe`, `gp` and `bohb`; default 16. A mesh has as many as its points."""
    space: Space = Field(default_factory=dict)
    """Dotted keys of a trial and how each varies: `optimizer.lr: {log: [1e-4, 1e-1]}`."""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of seeds for each configuration: its trials differ by their seed alone."""
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.5
    """`jittered`: a point moves by at most half this share of the way to its neighbours, so it stays in its own cell."""
    border: Annotated[int, Field(ge=0, le=100)] | dict[str, Annotated[int, Field(ge=0, le=100)]] = 0
    """`grid`, `jittered`: while the best point lies on the border of an axis, the mesh grows past it, at most this often
    on each side; for every axis that is a range, or by key."""
    startup: Annotated[int, Field(ge=1)] = 10
    """`tpe`, `gp`, `bohb`: how many trials are random before the model proposes any."""
    population: PopulationConfig = PopulationConfig()
    changes: dict[str, Values] = Field(default_factory=dict)
    """`ablation`: named changes to the baseline, `dropout: {model.dropout: 0.3}`; each alone, then all together
    where none of them is so already."""
    reach_loss: Annotated[float, Field(gt=0)] | None = None
    """`ablation`: epochs to this validation loss are compared; left out, the baseline's last one."""
    steps: list[Values] = Field(default_factory=list)
    """`ladder`: values in growing order of capacity, `- {model.blocks: 2, model.width: 16}`; each step has `repeats` seeds."""
    gain: Annotated[float, Field(ge=0, lt=1)] = 0.002
    """`ladder`: least gain in validation accuracy that pays, as a share: 0.002 is 0.2 points. The spread between seeds may demand more."""
    patience: Annotated[int, Field(ge=0, le=100)] = 1
    """`ladder`: further steps after one that does not pay."""
    replay: str | None = None
    """`replay`: the `pbt` run whose schedule is trained, `NAME` or `NAME/RUN` in the sweep's own store."""

    bags: Annotated[BagsConfig, BeforeValidator(lambda raw: {"count": raw} if isinstance(raw, int) else raw)] = (
        BagsConfig()
    )
    """`bagging`: the training images of its members. `bags: 10` is short for ten bootstraps."""

    boosting: BoostingConfig = BoostingConfig()

    @model_validator(mode="after")
    def _keys_belong_to_the_method(self) -> MethodConfig:
        for key, methods in METHODS_OF_KEY.items():
            if self.method not in methods and key in self.changed_keys and not is_plugin(self.method):
                raise ValueError(
                    f"{key} means nothing to method {self.method}: it goes with {', '.join(methods)}; remove it"
                )
        if self.method in MESHES:
            self._check_mesh()
        if self.method == "ablation" and not self.changes:
            raise ValueError("an ablation needs its changes: `changes: {dropout: {model.dropout: 0.3}}`")
        if self.method == "ladder":
            self._check_steps()
        if self.method in ("ablation", "ladder", "replay", "bagging", "boosting") and self.space:
            raise ValueError(f"method {self.method} draws nothing: remove space")
        if self.method == "replay" and not self.replay:
            raise ValueError("a replay needs the run whose schedule it trains: `replay: NAME/RUN`")
        if self.method == "pbt" and not self.space:
            raise ValueError("a population needs something to vary: add space")
        return self

    def _check_steps(self) -> None:
        if len(self.steps) < 2:
            raise ValueError("a ladder needs at least two steps: `steps: [{model.width: 8}, {model.width: 16}]`")
        for number, values in enumerate(self.steps, start=1):
            if values in self.steps[: number - 1]:
                raise ValueError(
                    f"step {number} of the ladder is the same as step {self.steps.index(values) + 1}: remove one"
                )

    def _check_mesh(self) -> None:
        if self.trials is not None:
            raise ValueError("a grid has as many trials as its points: remove search.trials")
        for key, distribution in self.space.items():
            if distribution.kind == "around":
                continue
            if distribution.kind == "range_test":
                raise ValueError(f"space.{key}: a mesh needs fixed bounds, a range test finds others for each model")
            try:
                distribution.mesh()
            except ValueError as error:
                raise ValueError(f"space.{key}: {error}") from None
        for key, limit in self.limits.items():
            if key not in self.space:
                raise ValueError(f"border names {key}, which is not in the space")
            if limit and not self.space[key].can_grow:
                raise ValueError(
                    f"border cannot grow: {key} is a choice, which has nothing beyond its ends; name ranges alone"
                )
        if self.border and not any(self.limits.values()):
            raise ValueError("border cannot grow: no key of the space is a range; remove it, or search a range")

    @property
    def changed_keys(self) -> set[str]:
        """Keys whose values differ from their defaults."""
        fields = type(self).model_fields
        return {
            key for key, field in fields.items() if getattr(self, key) != field.get_default(call_default_factory=True)
        }

    @property
    def limits(self) -> dict[str, int]:
        """How often each axis may grow on each side."""
        if isinstance(self.border, dict):
            return self.border
        return {key: self.border for key, distribution in self.space.items() if distribution.can_grow}

    @property
    def configuration_count(self) -> int:
        """Number of different configurations of a method that samples."""
        return self.trials or DEFAULT_TRIALS


METHODS_OF_KEY: dict[str, tuple[SearchMethod, ...]] = {
    "trials": (*DRAWN, *MESHES),  # a mesh has its own message for it
    "jitter": ("jittered",),
    "border": MESHES,
    "startup": MODELLED,
    "population": ("pbt",),
    "changes": ("ablation",),
    "reach_loss": ("ablation",),
    "steps": ("ladder",),
    "gain": ("ladder",),
    "patience": ("ladder",),
    "replay": ("replay",),
    "bags": ("bagging",),
    "boosting": ("boosting",),
}


class StageConfig(MethodConfig):
    """One of several stages. It begins from the configuration of the best trial of the stage before."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    set: Values = Field(default_factory=dict)
    """Values of keys from this stage on, until a later stage sets or searches them."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Replaces `scheduler.max_epochs`."""
    scheduler: SchedulerConfig | None = None
    """Replaces the sweep's scheduler."""

    @model_validator(mode="after")
    def _epochs_are_said_once(self) -> StageConfig:
        if self.epochs is not None and self.scheduler is not None:
            raise ValueError("epochs and scheduler are both set: write scheduler.max_epochs")
        if both := sorted(set(self.set) & set(self.space)):
            raise ValueError(f"{both[0]} is both set and searched: keep one")
        return self


class SearchConfig(MethodConfig):
    """Which trials there are."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of all sampling, and of the seed of each trial."""
    warm_start: WarmStartConfig | None = None
    stages: list[StageConfig] = Field(default_factory=list)
    """Several searches, one after the other, instead of a single one."""

    @model_validator(mode="after")
    def _stages_stand_alone(self) -> SearchConfig:
        if not self.stages:
            return self
        misplaced = sorted(self.changed_keys - {"seed", "warm_start", "stages"})
        if misplaced:
            raise ValueError(f"{misplaced[0]} is set beside stages: each stage has its own; move it there")
        earlier: list[str] = []
        for stage in self.stages:
            if stage.name in earlier:
                raise ValueError(f"two stages are called {stage.name}: rename one")
            for key, distribution in stage.space.items():
                self._check_centre(stage.name, key, distribution, earlier)
            earlier.append(stage.name)
        return self

    def _check_centre(self, stage: str, key: str, distribution: Distribution, earlier: list[str]) -> None:
        centre = distribution.around
        if not centre or centre in earlier:
            return
        later = [other.name for other in self.stages]
        if centre == stage or centre in later:
            where = "which is that stage itself" if centre == stage else "which comes later"
            raise ValueError(f"stages.{stage}: {key} is around stage {centre}, {where}: refer to an earlier one")
        raise ValueError(f"stages.{stage}: {key} is around {centre!r}, but the stages are {', '.join(later)}")

    @property
    def parts(self) -> list[tuple[str, MethodConfig]]:
        """Each search with its stage's name, "" where there are no stages."""
        return [(stage.name, stage) for stage in self.stages] or [("", self)]
