"""Reads a sweep file and checks rules that involve several keys: spaces, schedulers with searches, pseudo-labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runner.config.custom_code import add_module_paths
from runner.config.messages import list_problems, nearest, rule, show_value
from runner.config.overrides import apply_overrides, custom_model_names
from runner.config.pseudo_labels import PSEUDO
from runner.config.search import MethodConfig
from runner.config.sweep import SweepSpec, stage_scheduler, trial_keys
from runner.config.time_zone import find_zone
from runner.config.yaml_file import read_sweep_file
from runner.space.conditions import conditions_of, in_order
from trainables.config.conditions import CUSTOM_ONLY, Condition, condition_of
from trainables.config.model import is_custom_model
from trainables.errors import SweepFileError
from trainables.plugins.trust import trust

_MODEL_KEY = re.compile(r"model\.[A-Za-z_][A-Za-z0-9_]*")
"""A key that a custom model may have."""


def read_spec(path: str, overrides: list[str]) -> SweepSpec:
    """The sweep in the file at `path` with `overrides` applied.

    Raises `SweepFileError` with a line for each problem: the file, the key, the value and the rule.
    """
    raw = apply_overrides(read_sweep_file(path), overrides, trial_keys())
    if names := custom_model_names(raw):
        add_module_paths(path)
        trust(names)
    spec = parse_spec(raw, path)
    find_zone(
        spec.nightly.zone, f"{path}: nightly.zone"
    )  # not where a record is read: it may come from a machine with more zones
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


def _check_space(spec: SweepSpec, raw: dict[str, Any], where: str) -> None:
    """Raise `SweepFileError` unless every key that is searched, set or changed exists, is admissible, and has an effect somewhere."""
    known = trial_keys()
    custom = custom_model_names(raw)
    for stage, method in spec.search.parts:
        place = f"{where}: search.stages.{stage}" if stage else f"{where}: search"
        for key, distribution in method.space.items():
            _check_key(f"{place}.space.{key}", key, known, custom)
            if not stage:
                _check_not_set(raw, key, where)
            for value in distribution.extremes():
                _check_value(spec, f"{place}.space.{key} holds", key, value, custom)
            if distribution.kind == "range_test" and key != "optimizer.lr":
                raise SweepFileError(f"{place}.space.{key}: a range test finds learning rates alone: give it a range")
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
            raise SweepFileError(f"{place}.space: {error}") from None
        for key in method.space:
            if not may_apply(spec, method, key):
                raise SweepFileError(
                    f"{place}.space.{key} has no effect, {_describe_condition(spec, method, key)}: remove it"
                )
    _check_scheduler(spec, where)


def _check_scheduler(spec: SweepSpec, where: str) -> None:
    """Raise `SweepFileError` where a search is combined with a scheduler that it excludes.

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
    """Raise `SweepFileError` unless the team is large enough to agree, and there are images that it may label."""
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


def _check_key(place: str, key: str, known: list[str], custom: list[str]) -> None:
    if key not in known and not (custom and _MODEL_KEY.fullmatch(key)):
        raise SweepFileError(f"{place}: no such key{nearest(key, known)}")


def _check_value(spec: SweepSpec, place: str, key: str, value: Any, custom: list[str]) -> None:
    is_custom_key = condition_of(key) is CUSTOM_ONLY and custom and not is_custom_model(spec.model.name)
    try:
        spec.trial("", {key: value} | ({"model.name": custom[0]} if is_custom_key else {}))
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


def _describe_condition(spec: SweepSpec, method: MethodConfig, key: str) -> str:
    condition = next(_unmet(spec, method, key))
    now = "never so" if condition.key in method.space else repr(spec.fixed(condition.key))
    return f"since it matters only where {condition.key} is {condition}, which is {now}"
