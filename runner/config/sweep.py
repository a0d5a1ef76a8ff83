"""A sweep: every key of its file, with its documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ensembles.config import DiagnosisConfig, EnsembleConfig
from runner.config.nightly import KeepConfig, NightlyConfig
from runner.config.pseudo_labels import PseudoConfig
from runner.config.rules import check_rules
from runner.config.run import BudgetConfig, ResourcesConfig, StoreConfig
from runner.config.scheduler import SchedulerConfig
from runner.config.search import NAME_PATTERN, SearchConfig
from trainables.config.augment import AugmentConfig
from trainables.config.base import Frozen, short_hash
from trainables.config.data import DataConfig
from trainables.config.model import ModelConfig
from trainables.config.preparation import PreparationConfig
from trainables.config.training import AverageConfig, OptimizerConfig, ScheduleConfig
from trainables.config.trial import BagConfig, TrialConfig, combine_sources
from trainables.plugins.kind import is_plugin


class SweepSpec(Frozen):
    """Everything that a sweep file can say. Valid by construction: by its constructor, from a record, from a file.

    `model_copy(update=…)` checks nothing, as always with pydantic: what it is given has to be checked already."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """The sweep's folder in the store: letters, digits, dots, dashes and underscores."""
    data: DataConfig
    store: Annotated[StoreConfig, BeforeValidator(lambda raw: {"uri": raw} if isinstance(raw, str) else raw)] = (
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
    """A second stage, trained with images that the team of the first one has labelled."""
    budget: BudgetConfig = BudgetConfig()
    resources: ResourcesConfig = ResourcesConfig()
    nightly: NightlyConfig = NightlyConfig()
    keep: KeepConfig | None = None
    """Which nights keep their checkpoints; left out, all do."""
    diagnosis: DiagnosisConfig = DiagnosisConfig()
    sources: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]] = Field(default_factory=dict)
    """Hash of the source of each custom model and augmentation, by name. Filled in when the sweep is read: it is part of the names of
    their trials."""

    @model_validator(mode="after")
    def _follows_the_rules(self) -> Self:
        check_rules(self)
        return self

    def trial(
        self, data_id: str, values: Mapping[str, Any], max_epochs: int | None = None, repeat: int = 0
    ) -> TrialConfig:
        """The trial with `values` (dotted keys) for the keys that the sweep varies, and the sweep's values for all others.

        `max_epochs` is the length of its schedule, unless that has its own (default: the sweep's scheduler has it).
        Its seed follows from its configuration and `repeat`, unless `values` has one: so it is the same in every
        sweep that contains this configuration, at any position. Raises `pydantic.ValidationError`.
        """
        config: dict[str, Any] = {part: dict(self._section(part)) for part in PARTS}
        config |= {key: getattr(self, key) for key in ("train_share", "precision")}
        for key, value in values.items():
            parent, _, last = key.rpartition(".")
            (config[parent] if parent else config)[last] = value
        for part, key in (("model", "name"), ("augment", "function")):
            if not is_plugin(
                config[part][key]
            ):  # a searched name may be another one than that whose keys the sweep sets
                config[part] = {k: v for k, v in config[part].items() if k not in getattr(self, part).custom_keys}
        if config["schedule"]["name"] != "constant" and config["schedule"]["epochs"] is None:
            config["schedule"]["epochs"] = max_epochs or self.scheduler.max_epochs
        parts: Any = _parts(config)  # before the hash, which knows neither infinity nor half a character
        if "seed" not in config:
            named = {"search.seed": self.search.seed, **_seeding(config)} | ({"repeat": repeat} if repeat else {})
            config["seed"] = int(short_hash(named, digits=8), 16)
        config["code"] = self._source_of(parts["model"].name, parts["augment"].function)
        return TrialConfig(data_id=data_id, **{k: v for k, v in config.items() if k not in PARTS}, **parts)

    def fixed(self, key: str) -> Any:
        """The value that a key of a trial has where the sweep does not vary it."""
        at: Any = self
        for part in key.split("."):
            at = getattr(at, part, None) if self.model.has_plugin or self.augment.has_plugin else getattr(at, part)
        return at

    def _section(self, part: str) -> Frozen:
        """A section of a trial, without what the search varies. Of `data` that is only what a trial may differ in."""
        section: Frozen = self.data.preparation if part == "data" else getattr(self, part)
        return section

    def _source_of(self, *names: str) -> str:
        """The hash of the source of these plug-ins together; "" where none has one."""
        return combine_sources([self.sources[name] for name in names if name in self.sources])

    def run_id(self, data_id: str) -> str:
        """Eight hexadecimal digits: the name of the run that this sweep starts or continues.

        It covers what decides which trials there are and when they end. The number of trials, the budget, the store, and the
        ensemble but for a metric other than accuracy, are left out: when they change, the same run continues.
        """
        trial_settings = self.model_dump(
            mode="json", include={*PARTS, "train_share", "precision", "scheduler"} - {"data"}, exclude_defaults=True
        )
        if prepared := self.data.preparation.model_dump(mode="json", exclude_defaults=True):
            trial_settings["data"] = prepared
        search = self.search.model_dump(mode="json", exclude={"trials"}, exclude_defaults=True)
        if self.sources:
            trial_settings["sources"] = self.sources
        if (metric := self.ensemble.deciding_metric) != "accuracy":  # what search and scheduler maximise
            trial_settings["metric"] = metric
        if self.pseudo_labels:  # it decides which trials follow
            trial_settings["pseudo_labels"] = self.pseudo_labels.model_dump(mode="json", exclude_defaults=True)
        return short_hash({"data_id": data_id, "search": search, **trial_settings}, digits=8)


PARTS: dict[str, type[Frozen]] = {
    "model": ModelConfig,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "average": AverageConfig,
    "augment": AugmentConfig,
    "data": PreparationConfig,
    "bag": BagConfig,
}
"""Sections of a sweep file that are sections of a trial's configuration; of `data` it has two keys."""

SEEDING = {
    "model": ("name", "blocks", "width", "batch_norm", "dropout"),
    "optimizer": ("name", "lr", "momentum", "weight_decay", "batch_size", "label_smoothing"),
    "schedule": ("name", "epochs"),
}
"""Keys that always enter a trial's seed. Keys that were added later enter it where they differ from their default: otherwise
all earlier trials would get other seeds, and so other ids."""


def _seeding(values: dict[str, Any]) -> dict[str, Any]:
    seeding = {key: value for key, value in values.items() if not (key == "train_share" and value == 1)}
    for part, config in PARTS.items():
        always = SEEDING.get(part, ())
        seeding_values = {
            key: value
            for key, value in values[part].items()
            if key in always or key not in config.model_fields or value != config.model_fields[key].default
        }
        seeding.pop(part)
        if seeding_values:
            seeding[part] = seeding_values
    return seeding


def _parts(values: dict[str, Any]) -> dict[str, Frozen]:
    return {part: config(**values[part]) for part, config in PARTS.items()}
