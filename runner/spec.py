"""A sweep, as read from its file and its overrides: every key documented where it stands, valid before anything starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from ensembles.config import EnsembleConfig
from runner.duration import parse_duration
from runner.messages import list_problems, nearest, rule, show_value
from runner.night_config import KeepConfig, NightlyConfig
from runner.overrides import apply_overrides, own_model_names
from runner.own_code import look_beside
from runner.pseudo_config import PSEUDO, PseudoConfig
from runner.schedulers.config import SchedulerConfig
from runner.search.condition import conditions_of, in_order
from runner.search.config import NAME_PATTERN, MethodConfig, SearchConfig
from runner.sweep_file import read_sweep_file
from runner.time_zone import find_zone
from trainables.config import (
    OWN,
    AugmentConfig,
    AverageConfig,
    BagConfig,
    Condition,
    Frozen,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrialConfig,
    condition_of,
    is_own,
    short_hash,
)
from trainables.data import DataConfig
from trainables.errors import SweepFileError
from trainables.trusted_code import trust

Seconds = Annotated[float, BeforeValidator(parse_duration)]


class StoreConfig(Frozen):
    """Where everything is kept."""

    uri: str = "runs"
    """A folder, or `s3://bucket/prefix`. `store: runs` is short for `store: {uri: runs}`."""
    endpoint_url: str | None = None
    """The S3 server, where it is not AWS; left out, AWS_ENDPOINT_URL_S3 of the environment."""


class BudgetConfig(Frozen):
    """What the whole run may cost, over all its executions."""

    wall: Seconds | None = None
    """Time from start to report, such as `10m`. What was trained until then votes; a larger budget continues."""
    slot_hours: Annotated[float, Field(gt=0)] | None = None
    """Hours of training and evaluation, summed over slots: GPU hours on GPUs, core hours where a slot is a core."""
    trials: Annotated[int, Field(ge=1)] | None = None
    """Trials that are begun."""
    epochs: Annotated[int, Field(ge=1)] | None = None
    """Epochs that are trained."""
    money: Annotated[float, Field(gt=0)] | None = None
    """In the currency of `price`: hours of the run times nodes times price."""
    price: Annotated[float, Field(gt=0)] | None = None
    """Of a node for an hour. Left out: `price_per_node_hour` in the `metadata` of `cluster.yaml` beside the sweep."""


LEAST_SHARE = 1e-4
"""Ray counts resources in ten-thousandths."""


def check_gpus(gpus: float) -> float:
    """A number of GPUs that Ray can give away: none, a share of one, or whole ones. Raises `ValueError`."""
    if gpus > 1 and gpus != int(gpus):
        raise ValueError("a trial has a share of one GPU, or whole ones: 0.25, 0.5, 1, 2")
    if 0 < gpus < LEAST_SHARE:
        raise ValueError(f"a share of a GPU is at least {LEAST_SHARE:g}")
    return gpus


class ResourcesConfig(Frozen):
    """What one trial occupies: its slot."""

    cpus: Annotated[int, Field(ge=1)] | None = None
    """Cores, and as many threads; left out: one, and on nodes with GPUs a fair share: 12 of 48 cores where 4 GPUs hold 4 trials."""
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(check_gpus)] | None = None
    """GPUs, or a share of one; left out: one where the cluster has any, or is meant to have."""
    slots: Annotated[int, Field(ge=1)] | None = None
    """Trials at a time; left out: as many as fit."""
    hang: Annotated[float, BeforeValidator(parse_duration), Field(gt=0)] = 120.0
    """A trial that is silent for so long, and for ten of its epochs, hangs: it begins again from its newest checkpoint."""
    patience: Annotated[float, BeforeValidator(parse_duration), Field(gt=0)] = 1200.0
    """Where no trial can run for so long, because nodes do not come or are taken, the run ends with exit code 4, and the next
    one goes on: 20 minutes, since a spot market that is sold out often has machines again by then."""


class SweepSpec(Frozen):
    """Everything that a sweep file can say."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """The sweep's folder in the store: letters, digits, dots, dashes and underscores."""
    data: DataConfig
    store: Annotated[StoreConfig, BeforeValidator(lambda told: {"uri": told} if isinstance(told, str) else told)] = (
        StoreConfig()
    )
    search: SearchConfig = SearchConfig()
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    average: AverageConfig = AverageConfig()
    augment: AugmentConfig = AugmentConfig()
    train_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    bag: BagConfig = BagConfig()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    scheduler: SchedulerConfig = SchedulerConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    pseudo_labels: PseudoConfig | None = None
    """A second stage, trained with what the first one's team labels."""
    budget: BudgetConfig = BudgetConfig()
    resources: ResourcesConfig = ResourcesConfig()
    nightly: NightlyConfig = NightlyConfig()
    keep: KeepConfig | None = None
    """Which nights keep their checkpoints; left out, all do."""

    def trial(
        self, data_id: str, values: Mapping[str, Any], max_epochs: int | None = None, repeat: int = 0
    ) -> TrialConfig:
        """The trial that has `values` (dotted keys) where the sweep varies, and the sweep's own keys elsewhere.

        `max_epochs` is the length of its schedule where it has none of its own (left out: that of the sweep's scheduler).
        Its seed follows from its configuration and `repeat`, unless `values` has one: so it stays the same in every
        sweep that comes upon this configuration, whatever its place there. Raises `pydantic.ValidationError`.
        """
        told: dict[str, Any] = {part: dict(getattr(self, part)) for part in PARTS}
        told |= {key: getattr(self, key) for key in ("train_share", "precision")}
        for key, value in values.items():
            parent, _, last = key.rpartition(".")
            (told[parent] if parent else told)[last] = value
        if not is_own(told["model"]["name"]):  # a searched name may be another's than that whose keys the sweep sets
            told["model"] = {k: v for k, v in told["model"].items() if k not in (self.model.model_extra or {})}
        if told["schedule"]["name"] != "constant" and told["schedule"]["epochs"] is None:
            told["schedule"]["epochs"] = max_epochs or self.scheduler.max_epochs
        parts: Any = _parts(told)  # before the hash, which knows neither infinity nor half a character
        if "seed" not in told:
            named = {"search.seed": self.search.seed, **_seeding(told)} | ({"repeat": repeat} if repeat else {})
            told["seed"] = int(short_hash(named, digits=8), 16)
        return TrialConfig(data_id=data_id, **{k: v for k, v in told.items() if k not in PARTS}, **parts)

    def fixed(self, key: str) -> Any:
        """The value that a key of a trial has where the sweep does not vary it."""
        at: Any = self
        for part in key.split("."):
            at = getattr(at, part, None) if is_own(self.model.name) else getattr(at, part)
        return at

    def run_id(self, data_id: str) -> str:
        """Eight hexadecimal digits: the name of the run that this sweep starts or continues.

        It covers what decides which trials there are and how they are ended. How many trials there are, the budget,
        the ensemble and the store are left out: those may grow or change, and the same run goes on.
        """
        told = self.model_dump(
            mode="json", include={*PARTS, "train_share", "precision", "scheduler"}, exclude_defaults=True
        )
        search = self.search.model_dump(mode="json", exclude={"trials"}, exclude_defaults=True)
        if self.pseudo_labels:  # it decides which trials follow
            told["pseudo_labels"] = self.pseudo_labels.model_dump(mode="json", exclude_defaults=True)
        return short_hash({"data_id": data_id, "search": search, **told}, digits=8)


PARTS: dict[str, type[Frozen]] = {
    "model": ModelConfig,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "average": AverageConfig,
    "augment": AugmentConfig,
    "bag": BagConfig,
}
"""Sections of a sweep file that are sections of a trial's configuration."""

SEEDING = {
    "model": ("name", "blocks", "width", "batch_norm", "dropout"),
    "optimizer": ("name", "lr", "momentum", "weight_decay", "batch_size", "label_smoothing"),
    "schedule": ("name", "epochs"),
}
"""Keys that decide a trial's seed whatever their value. One that came later does where it is not at its default: else
all trials of the past would have had other seeds, and so other names."""


_MODEL_KEY = re.compile(r"model\.[A-Za-z_][A-Za-z0-9_]*")
"""A key that a person's own model may have."""


def _seeding(told: dict[str, Any]) -> dict[str, Any]:
    seeding = {key: value for key, value in told.items() if not (key == "train_share" and value == 1)}
    for part, config in PARTS.items():
        always = SEEDING.get(part, ())
        kept = {
            key: value
            for key, value in told[part].items()
            if key in always or key not in config.model_fields or value != config.model_fields[key].default
        }
        seeding.pop(part)
        if kept:
            seeding[part] = kept
    return seeding


def _parts(told: dict[str, Any]) -> dict[str, Frozen]:
    return {part: config(**told[part]) for part, config in PARTS.items()}


def read_spec(path: str, overrides: list[str]) -> SweepSpec:
    """The sweep in the file at `path` with `overrides` applied.

    Raises `SweepFileError`: one line a problem, each with the file, the key, the value and the rule.
    """
    raw = apply_overrides(read_sweep_file(path), overrides, trial_keys())
    if names := own_model_names(raw):
        look_beside(path)
        trust(names)
    spec = parse_spec(raw, path)
    find_zone(
        spec.nightly.zone, f"{path}: nightly.zone"
    )  # not where a record is read: it may be from a machine with more zones
    return spec


def parse_spec(raw: dict[str, Any], where: str) -> SweepSpec:
    """The sweep that the mapping `raw` describes. Raises `SweepFileError`, each line of which begins with `where`."""
    raw.setdefault("name", Path(where).stem)
    try:
        spec = SweepSpec.model_validate(raw)
    except ValidationError as error:
        raise SweepFileError("\n".join(list_problems(error, SweepSpec, where, raw))) from None
    _check_space(spec, raw, where)
    _check_pseudo(spec, where)
    return spec


def trial_keys() -> list[str]:
    """Dotted keys of a trial that a sweep may set or vary."""
    return [
        key
        for key in _keys(TrialConfig)
        if key not in ("data_id", "parent", "pseudo_table") and not key.startswith("boost.")
    ]


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _check_space(spec: SweepSpec, raw: dict[str, Any], where: str) -> None:
    """Every key that is searched, set or changed exists and is admissible, and has an effect somewhere."""
    known = trial_keys()
    own = own_model_names(raw)
    for stage, method in spec.search.parts:
        place = f"{where}: search.stages.{stage}" if stage else f"{where}: search"
        for key, distribution in method.space.items():
            _check_key(f"{place}.space.{key}", key, known, own)
            if not stage:
                _check_not_set(raw, key, where)
            for value in distribution.extremes():
                _check_value(spec, f"{place}.space.{key} holds", key, value, own)
            if distribution.kind == "range_test" and key != "optimizer.lr":
                raise SweepFileError(f"{place}.space.{key}: a range test finds learning rates alone: give it a range")
            for other in distribution.when:
                _check_key(f"{place}.space.{key}: when", other, known, own)
        for name, values in {
            "set": getattr(method, "set", {}),
            **{f"changes.{name}": values for name, values in method.changes.items()},
            **{f"steps.{number}": values for number, values in enumerate(method.steps, start=1)},
        }.items():
            for key, value in values.items():
                _check_key(f"{place}.{name}.{key}", key, known, own)
                _check_value(spec, f"{place}.{name}.{key} is", key, value, own)
        try:
            in_order(method.space)
        except ValueError as error:
            raise SweepFileError(f"{place}.space: {error}") from None
        for key in method.space:
            if not may_apply(spec, method, key):
                raise SweepFileError(
                    f"{place}.space.{key} has no effect, {_told_condition(spec, method, key)}: remove it"
                )
    _check_scheduler(spec, where)


def _check_scheduler(spec: SweepSpec, where: str) -> None:
    """Ablations and ladders compare at equal epochs, and a population decides for itself who goes on."""
    for stage, method in spec.search.parts:
        scheduler = stage_scheduler(spec, stage)
        if (
            method.method in ("ablation", "ladder", "pbt", "replay", "bagging", "boosting")
            and scheduler.method != "none"
        ):
            why = {
                "ablation": "compares trials at equal epochs",
                "ladder": "compares steps at equal epochs",
                "pbt": "decides for itself who goes on",
                "replay": "trains a schedule to its end",
                "bagging": "wants each of its members whole",
                "boosting": "builds each round on the end of the one before",
            }[method.method]
            raise SweepFileError(
                f"{where}: search.method is {method.method}, which {why}, but scheduler.method is {scheduler.method}: "
                f"{'give the stage scheduler.method' if stage else 'set scheduler.method'}=none"
            )
        if method.method == "pbt" and method.population.interval >= scheduler.max_epochs:
            raise SweepFileError(
                f"{where}: search.population.interval is {method.population.interval}, but trials have only "
                f"{scheduler.max_epochs} epochs: raise scheduler.max_epochs"
            )


def _check_pseudo(spec: SweepSpec, where: str) -> None:
    """The team can agree as asked, and there are images that it may label."""
    pseudo, ensemble = spec.pseudo_labels, spec.ensemble
    if pseudo is None:
        return
    most = {"best": 1, "top": ensemble.size, "greedy": ensemble.size}.get(ensemble.select)
    if most is not None and pseudo.agreement > most:
        raise SweepFileError(
            f"{where}: pseudo_labels.agreement is {pseudo.agreement}, but ensemble.select={ensemble.select} has a team of "
            f"at most {most}: lower it or raise ensemble.size"
        )
    if any(stage == PSEUDO for stage, _ in spec.search.parts):
        raise SweepFileError(
            f"{where}: search.stages.{PSEUDO} is called as the stage of pseudo_labels is: give it another name"
        )
    if pseudo.data.name == "rest":
        varied = [
            stage
            for stage, method in spec.search.parts
            for keys in (method.space, getattr(method, "set", {}), *method.changes.values())
            if "train_share" in keys
        ]
        if varied:
            raise SweepFileError(
                f"{where}: pseudo_labels.data is rest, but the search varies train_share: leave train_share as it is"
            )
        if spec.train_share == 1:
            raise SweepFileError(
                f"{where}: pseudo_labels.data is rest, but train_share is 1 and leaves nothing out: lower train_share"
            )


def _check_key(place: str, key: str, known: list[str], own: list[str]) -> None:
    if key not in known and not (own and _MODEL_KEY.fullmatch(key)):
        raise SweepFileError(f"{place}: no such key{nearest(key, known)}")


def _check_value(spec: SweepSpec, place: str, key: str, value: Any, own: list[str]) -> None:
    is_own_key = condition_of(key) is OWN and own and not is_own(spec.model.name)
    try:
        spec.trial("", {key: value} | ({"model.name": own[0]} if is_own_key else {}))
    except ValidationError as error:
        raise SweepFileError(f"{place} {show_value(value)}: {rule(error.errors()[0])}") from None


def _check_not_set(raw: dict[str, Any], key: str, where: str) -> None:
    section: Any = raw
    for part in key.split("."):
        section = section.get(part) if isinstance(section, dict) else None
    if section is not None:
        raise SweepFileError(f"{where}: {key} is set to {show_value(section)} and also searched: remove one of the two")


def may_apply(spec: SweepSpec, method: MethodConfig, key: str) -> bool:
    """Whether there are trials of the sweep in which `key` has an effect."""
    return not any(_unmet(spec, method, key))


def _unmet(spec: SweepSpec, method: MethodConfig, key: str) -> Iterator[Condition]:
    """Conditions of `key` that no trial meets."""
    for other, condition in conditions_of(key, method.space).items():
        if other in method.space and method.space[other].kind == "choice":
            possible = set(method.space[other].values)
        elif other in method.space or spec.search.stages:
            continue
        else:
            possible = {spec.fixed(other)}
        if not any(map(condition.holds, possible)):
            yield condition


def _told_condition(spec: SweepSpec, method: MethodConfig, key: str) -> str:
    condition = next(_unmet(spec, method, key))
    now = "never so" if condition.key in method.space else repr(spec.fixed(condition.key))
    return f"since it matters only where {condition.key} is {condition}, which is {now}"


def stage_scheduler(spec: SweepSpec, stage: str) -> SchedulerConfig:
    """The scheduler of a stage: its own, or the sweep's with the stage's epochs; none for the one with pseudo-labels."""
    if stage == PSEUDO and spec.pseudo_labels:
        return SchedulerConfig(method="none", max_epochs=spec.scheduler.max_epochs, grace_epochs=1)
    for config in spec.search.stages:
        if config.name == stage:
            if config.scheduler is not None:
                return config.scheduler
            if config.epochs is not None:
                grace = min(spec.scheduler.grace_epochs, config.epochs)
                return spec.scheduler.model_copy(update={"max_epochs": config.epochs, "grace_epochs": grace})
    return spec.scheduler
