"""Rules of a sweep that no single key can know: spaces, schedulers beside searches, pseudo-labels. All raise `ValueError`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from ensembles.config import EnsembleConfig
from runner.config.messages import nearest, rule, show_value
from runner.config.overrides import custom_augmentation_names, custom_model_names
from runner.config.pseudo_labels import PSEUDO, PseudoConfig
from runner.config.scheduler import SchedulerConfig
from runner.config.search import MethodConfig, SearchConfig
from runner.space.conditions import conditions_of, in_order
from trainables.config.augment import AugmentConfig
from trainables.config.conditions import CUSTOM_AUGMENTATION, CUSTOM_ONLY, PRETRAINED, Condition, condition_of
from trainables.config.model import ModelConfig
from trainables.config.trial import TrialConfig
from trainables.plugins.kind import is_plugin


class Sweep(Protocol):
    """What the rules need of a sweep; `SweepSpec` is one."""

    @property
    def search(self) -> SearchConfig:
        """Its search."""

    @property
    def scheduler(self) -> SchedulerConfig:
        """Its scheduler."""

    @property
    def ensemble(self) -> EnsembleConfig:
        """How it selects and votes."""

    @property
    def pseudo_labels(self) -> PseudoConfig | None:
        """Its second stage, if it has one."""

    @property
    def model(self) -> ModelConfig:
        """The model, as far as it is not searched."""

    @property
    def augment(self) -> AugmentConfig:
        """The augmentation, as far as it is not searched."""

    @property
    def train_share(self) -> float:
        """Share of the training images."""

    def trial(self, data_id: str, values: Mapping[str, Any]) -> TrialConfig:
        """A trial with these values."""

    def fixed(self, key: str) -> Any:
        """The value of a key that is not searched."""


_CUSTOM_KEY = re.compile(r"(model|augment)\.[A-Za-z_][A-Za-z0-9_]*")
"""A key that a custom model or augmentation may have."""


def check_rules(spec: Sweep) -> None:
    """Raise `ValueError`, whose message begins with a key, unless `spec` follows all rules."""
    check_space(spec)
    check_schedulers(spec)
    check_pseudo_labels(spec)
    check_normalisation(spec)


def check_space(spec: Sweep) -> None:
    """Raise `ValueError` unless every key that is searched, set or changed exists, is admissible, and has an effect somewhere."""
    known = trial_keys()
    raw = {"model": {"name": spec.model.name}, "search": spec.search.model_dump(mode="json")}
    raw["augment"] = {"function": spec.augment.function}
    custom = {"model": custom_model_names(raw), "augment": custom_augmentation_names(raw)}
    for stage, method in spec.search.parts:
        place = f"search.stages.{stage}" if stage else "search"
        for key, distribution in method.space.items():
            _check_key(f"{place}.space.{key}", key, known, custom)
            for value in distribution.extremes():
                _check_value(spec, f"{place}.space.{key} holds", key, value, custom)
            if distribution.kind == "range_test" and key != "optimizer.lr":
                raise ValueError(f"{place}.space.{key}: a range test finds learning rates alone: give it a range")
            for other in distribution.when:
                _check_key(f"{place}.space.{key}: when", other, known, custom)
        for name, values in {
            "set": getattr(method, "set", {}),
            **{f"changes.{name}": values for name, values in method.changes.items()},
            **{f"steps.{number}": values for number, values in enumerate(method.steps, start=1)},
        }.items():
            for key, value in values.items():
                _check_key(f"{place}.{name}.{key}", key, known, custom)
                _check_value(spec, f"{place}.{name}.{key} is", key, value, custom)
        try:
            in_order(method.space)
        except ValueError as error:
            raise ValueError(f"{place}.space: {error}") from None
        for key in method.space:
            if not may_apply(spec, method, key):
                raise ValueError(
                    f"{place}.space.{key} has no effect, {_describe_condition(spec, method, key)}: remove it"
                )


def check_schedulers(spec: Sweep) -> None:
    """Raise `ValueError` where a search is combined with a scheduler that it excludes.

    Ablations and ladders compare at equal epochs, and a population decides by itself which members continue.
    """
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
            raise ValueError(
                f"search.method is {method.method}, which {why}, but scheduler.method is {scheduler.method}: "
                f"{'give the stage scheduler.method' if stage else 'set scheduler.method'}=none"
            )
        if method.method == "pbt" and method.population.interval >= scheduler.max_epochs:
            raise ValueError(
                f"search.population.interval is {method.population.interval}, but trials have only "
                f"{scheduler.max_epochs} epochs: raise scheduler.max_epochs"
            )


def check_pseudo_labels(spec: Sweep) -> None:
    """Raise `ValueError` unless the team is large enough to agree, and there are images that it may label."""
    pseudo, ensemble = spec.pseudo_labels, spec.ensemble
    if pseudo is None:
        return
    most = {"best": 1, "top": ensemble.size, "greedy": ensemble.size}.get(ensemble.select)
    if most is not None and pseudo.agreement > most:
        raise ValueError(
            f"pseudo_labels.agreement is {pseudo.agreement}, but ensemble.select={ensemble.select} has a team of "
            f"at most {most}: lower it or raise ensemble.size"
        )
    if any(stage == PSEUDO for stage, _ in spec.search.parts):
        raise ValueError(f"search.stages.{PSEUDO} is called as the stage of pseudo_labels is: give it another name")
    if pseudo.data.name == "rest":
        varied = [
            stage
            for stage, method in spec.search.parts
            for keys in (method.space, getattr(method, "set", {}), *method.changes.values())
            if "train_share" in keys
        ]
        if varied:
            raise ValueError(
                "pseudo_labels.data is rest, but the search varies train_share: leave train_share as it is"
            )
        if spec.train_share == 1:
            raise ValueError(
                "pseudo_labels.data is rest, but train_share is 1 and leaves nothing out: lower train_share"
            )


def check_normalisation(spec: Sweep) -> None:
    """Raise `ValueError` where trials would be normalised as a net that nobody has trained before. Where the search varies
    `data.normalise`, its condition sees to that."""
    parts = [method for _, method in spec.search.parts]
    is_varied = any("model.name" in {**method.space, **getattr(method, "set", {})} for method in parts)
    for method in parts:
        common = getattr(method, "set", {})
        for values in (common, *({**common, **some} for some in (*method.changes.values(), *method.steps))):
            if values.get("data.normalise", spec.fixed("data.normalise")) != "model":
                continue
            if "model.name" in values:
                names = {str(values["model.name"])}
            elif "model.name" in method.space:
                names = set(map(str, method.space["model.name"].values))
            else:  # an earlier stage may decide it
                names = set() if is_varied else {str(spec.fixed("model.name"))}
            for name in sorted(name for name in names if not PRETRAINED.holds(name)):
                raise ValueError(
                    f"data.normalise is model, but model.name is {name}, which has no normalisation of its own: take "
                    f"data.normalise=data, or name a net as {PRETRAINED}"
                )


def _check_key(place: str, key: str, known: list[str], custom: Mapping[str, list[str]]) -> None:
    if key not in known and not (_CUSTOM_KEY.fullmatch(key) and custom[key.partition(".")[0]]):
        raise ValueError(f"{place}: no such key{nearest(key, known)}")


def _check_value(spec: Sweep, place: str, key: str, value: Any, custom: Mapping[str, list[str]]) -> None:
    beside: dict[str, Any] = {}
    condition, names = condition_of(key), custom.get(key.partition(".")[0], [])
    if condition in (CUSTOM_ONLY, CUSTOM_AUGMENTATION) and names and not is_plugin(spec.fixed(condition.key)):
        beside = {condition.key: names[0]}
    try:
        spec.trial("", {key: value} | beside)
    except ValidationError as error:
        raise ValueError(f"{place} {show_value(value)}: {rule(error.errors()[0])}") from None


def trial_keys() -> list[str]:
    """Dotted keys of a trial that a sweep may set or vary."""
    return [
        key
        for key in _keys(TrialConfig)
        if key not in ("data_id", "parent", "pseudo_table", "code") and not key.startswith("boost.")
    ]


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def stage_scheduler(spec: Sweep, stage: str) -> SchedulerConfig:
    """The scheduler of a stage: its own, or the sweep's with the stage's epochs; none for the stage with pseudo-labels."""
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


def may_apply(spec: Sweep, method: MethodConfig, key: str) -> bool:
    """Whether there are trials of the sweep in which `key` has an effect."""
    return not any(_unmet(spec, method, key))


def _unmet(spec: Sweep, method: MethodConfig, key: str) -> Iterator[Condition]:
    """The conditions of `key` that no trial meets."""
    for other, condition in conditions_of(key, method.space).items():
        if other in method.space and method.space[other].kind == "choice":
            possible = set(method.space[other].values)
        elif other in method.space or spec.search.stages:
            continue
        else:
            possible = {spec.fixed(other)}
        if not any(map(condition.holds, possible)):
            yield condition


def _describe_condition(spec: Sweep, method: MethodConfig, key: str) -> str:
    condition = next(_unmet(spec, method, key))
    now = "never so" if condition.key in method.space else repr(spec.fixed(condition.key))
    return f"since it matters only where {condition.key} is {condition}, which is {now}"
