"""A sweep, as read from its file and its overrides: every key documented where it stands, valid before anything starts."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)

from ensembles.config import EnsembleConfig
from runner.duration import parse_duration
from runner.overrides import apply_overrides
from runner.search.space import Distribution, parse_distribution
from runner.sweep_file import read_sweep_file
from trainables.config import Frozen, ModelConfig, OptimizerConfig, ScheduleConfig, TrialConfig, short_hash
from trainables.data import DataConfig
from trainables.errors import SweepFileError

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""Of sweeps and runs: they become folders of a store, and words of a shell."""

Space = dict[str, Annotated[Distribution, PlainValidator(parse_distribution), PlainSerializer(Distribution.told)]]
Seconds = Annotated[float, BeforeValidator(parse_duration)]


class StoreConfig(Frozen):
    """Where everything is kept."""

    uri: str = "runs"
    """A folder, or `s3://bucket/prefix`. `store: runs` is short for `store: {uri: runs}`."""
    endpoint_url: str | None = None
    """The S3 server, where it is not AWS; left out, AWS_ENDPOINT_URL_S3 of the environment."""


class SearchConfig(Frozen):
    """Which trials there are."""

    method: Literal["random", "grid"] = "random"
    trials: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many `random` ones; 16 where left out. A `grid` has as many as its points."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Decides what is drawn, and the seed of each trial."""
    space: Space = Field(default_factory=dict)
    """Dotted keys of a trial and how each varies: `optimizer.lr: {log: [1e-4, 1e-1]}`."""

    @model_validator(mode="after")
    def _grid_knows_its_size(self) -> SearchConfig:
        if self.method == "grid":
            if self.trials is not None:
                raise ValueError("a grid has as many trials as its points: remove search.trials")
            for key, distribution in self.space.items():
                try:
                    distribution.mesh()
                except ValueError as error:
                    raise ValueError(f"space.{key}: {error}") from None
        return self


class SchedulerConfig(Frozen):
    """How long each trial trains, and which ones are ended early."""

    method: Literal["none", "asha"] = "asha"
    """`asha`: successive halving without waiting (Li 2020); `none`: every trial trains to the end."""
    max_epochs: Annotated[int, Field(ge=1, le=100_000)] = 27
    reduction: Annotated[int, Field(ge=2, le=100)] = 3
    """`asha`: the best one in `reduction` goes on past each rung."""
    grace_epochs: Annotated[int, Field(ge=1)] = 1
    """`asha`: the first rung; no trial is ended before it."""

    @model_validator(mode="after")
    def _first_rung_is_inside(self) -> SchedulerConfig:
        if self.grace_epochs > self.max_epochs:
            raise ValueError(f"grace_epochs is {self.grace_epochs}, above max_epochs {self.max_epochs}: lower it")
        return self


class BudgetConfig(Frozen):
    """What the whole run may cost, over all its executions."""

    wall: Seconds | None = None
    """Time from start to report, such as `10m`. What was trained until then votes; a larger budget continues."""


class ResourcesConfig(Frozen):
    """What one trial occupies: its slot."""

    cpus: Annotated[int, Field(ge=1)] = 1
    """Cores, and as many threads."""
    gpus: Annotated[float, Field(ge=0)] | None = None
    """GPUs, or a share of one; left out: one where the cluster has any."""
    slots: Annotated[int, Field(ge=1)] | None = None
    """Trials at a time; left out: as many as fit."""


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
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    scheduler: SchedulerConfig = SchedulerConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    budget: BudgetConfig = BudgetConfig()
    resources: ResourcesConfig = ResourcesConfig()

    def trial(self, data_id: str, values: dict[str, Any]) -> TrialConfig:
        """The trial that has `values` (dotted keys) where the sweep varies, and the sweep's own keys elsewhere.

        Its seed follows from its configuration, unless `values` has one: so it stays the same in every sweep that
        comes upon this configuration, whatever its place there. Raises `pydantic.ValidationError`.
        """
        told: dict[str, Any] = {part: dict(getattr(self, part)) for part in ("model", "optimizer", "schedule")}
        told["precision"] = self.precision
        for key, value in values.items():
            parent, _, last = key.rpartition(".")
            (told[parent] if parent else told)[last] = value
        if told["schedule"]["name"] != "constant" and told["schedule"]["epochs"] is None:
            told["schedule"]["epochs"] = self.scheduler.max_epochs
        if "seed" not in told:
            told["seed"] = int(short_hash({"search.seed": self.search.seed, **told}, digits=8), 16)
        return TrialConfig(
            data_id=data_id, **{k: v for k, v in told.items() if not isinstance(v, dict)}, **_parts(told)
        )

    def run_id(self, data_id: str) -> str:
        """Eight hexadecimal digits: the name of the run that this sweep starts or continues.

        It covers what decides which trials there are and how they are ended. How many trials there are, the budget,
        the ensemble and the store are left out: those may grow or change, and the same run goes on.
        """
        told = self.model_dump(
            mode="json", include={"model", "optimizer", "schedule", "precision", "scheduler"}, exclude_defaults=True
        )
        search = self.search.model_dump(mode="json", exclude={"trials"}, exclude_defaults=True)
        return short_hash({"data_id": data_id, "search": search, **told}, digits=8)


def _parts(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": ModelConfig(**told["model"]),
        "optimizer": OptimizerConfig(**told["optimizer"]),
        "schedule": ScheduleConfig(**told["schedule"]),
    }


def read_spec(path: str, overrides: list[str]) -> SweepSpec:
    """The sweep in the file at `path` with `overrides` applied.

    Raises `SweepFileError`: one line a problem, each with the file, the key, the value and the rule.
    """
    raw = apply_overrides(read_sweep_file(path), overrides, trial_keys())
    return parse_spec(raw, path)


def parse_spec(raw: dict[str, Any], where: str) -> SweepSpec:
    """The sweep that the mapping `raw` describes. Raises `SweepFileError`, each line of which begins with `where`."""
    raw.setdefault("name", Path(where).stem)
    try:
        spec = SweepSpec.model_validate(raw)
    except ValidationError as error:
        raise SweepFileError("\n".join(_problems(error, SweepSpec, where, raw))) from None
    _check_space(spec, raw, where)
    return spec


def trial_keys() -> list[str]:
    """Dotted keys of a trial that a sweep may set or vary."""
    return [key for key in _keys(TrialConfig) if key != "data_id"]


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _check_space(spec: SweepSpec, raw: dict[str, Any], where: str) -> None:
    """Every key of the space exists, is not set beside it, and is admissible at both ends."""
    known = trial_keys()
    for key, distribution in spec.search.space.items():
        if key not in known:
            raise SweepFileError(f"{where}: search.space.{key}: no such key{nearest(key, known)}")
        section: Any = raw
        for part in key.split("."):
            section = section.get(part) if isinstance(section, dict) else None
        if section is not None:
            raise SweepFileError(f"{where}: {key} is set to {section!r} and also searched: remove one of the two")
        for value in distribution.extremes():
            try:
                spec.trial("", {key: value})
            except ValidationError as error:
                raise SweepFileError(
                    f"{where}: search.space.{key} holds {value!r}: {rule(error.errors()[0])}"
                ) from None


def _problems(error: ValidationError, model: type[BaseModel], where: str, raw: dict[str, Any]) -> Iterator[str]:
    for problem in error.errors():
        # Positions inside unions and function validators are no keys of the file.
        place = [str(part) for part in problem["loc"] if not (isinstance(part, str) and ("[" in part or "(" in part))]
        key = ".".join(place)
        if problem["type"] == "extra_forbidden":
            yield f"{where}: {key}: no such key{nearest(place[-1], _siblings(model, place[:-1]))}"
        elif problem["type"] == "missing":
            yield f"{where}: {key} is missing"
        elif problem["type"] == "value_error":
            yield f"{where}: {key + ': ' if key else ''}{problem['ctx']['error']}"
        else:
            yield f"{where}: {key} is {problem['input']!r}: {rule(problem)}"


def rule(problem: Any) -> str:
    """Pydantic's rule as a clause: "input should be a valid integer" becomes "must be a valid integer"."""
    message: str = problem["msg"]
    return (
        message.removeprefix("Input should be ").join(("must be ", ""))
        if message.startswith("Input should be ")
        else message
    )


def _siblings(model: type[BaseModel], place: list[str]) -> list[str]:
    for part in place:
        field = model.model_fields.get(part)
        below = field.annotation if field else None
        if not (isinstance(below, type) and issubclass(below, BaseModel)):
            return []
        model = below
    return list(model.model_fields)


def nearest(word: str, known: list[str]) -> str:
    """A hint at the known word nearest to `word`, or all of them where none is near.

    >>> nearest("optimzer.lr", ["optimizer.lr", "model.width"])
    '; did you mean optimizer.lr?'
    """
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    tail = [] if close else [name for name in known if name.rsplit(".", 1)[-1] == word.rsplit(".", 1)[-1]]
    if close or tail:
        return f"; did you mean {(close or tail)[0]}?"
    return f"; known are {', '.join(known)}" if known else ""
