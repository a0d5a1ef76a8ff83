"""Reads a sweep file with its overrides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ensembles.config import EnsembleConfig
from runner.config.custom_code import add_module_paths, hash_custom_code
from runner.config.messages import list_problems, show_value
from runner.config.overrides import apply_overrides, plugin_names
from runner.config.rules import trial_keys
from runner.config.sweep import SweepSpec
from runner.config.time_zone import find_zone
from runner.config.yaml_file import read_sweep_file
from trainables.errors import SweepFileError
from trainables.plugins.trust import trust


def read_spec(path: str, overrides: list[str]) -> SweepSpec:
    """The sweep in the file at `path` with `overrides` applied.

    Raises `SweepFileError` with a line for each problem: the file, the key, the value and the rule.
    """
    raw = apply_overrides(read_sweep_file(path), overrides, trial_keys())
    if names := plugin_names(raw):
        add_module_paths(path)
        trust(names)
    spec = parse_spec(raw, path)
    if names:
        spec = hash_custom_code(spec)
    find_zone(
        spec.nightly.zone, f"{path}: nightly.zone"
    )  # not where a record is read: it may come from a machine with more zones
    return spec


def parse_spec(raw: dict[str, Any], where: str) -> SweepSpec:
    """The sweep that the mapping `raw` describes. Raises `SweepFileError`, each line of which begins with `where`."""
    raw.setdefault("name", Path(where).stem)
    if isinstance(ensemble := raw.get("ensemble"), dict):
        raw["ensemble"] = say_metric(ensemble, ensemble)
    try:
        spec = SweepSpec.model_validate(raw)
    except ValidationError as error:
        raise SweepFileError("\n".join(list_problems(error, SweepSpec, where, raw))) from None
    for stage, method in spec.search.parts:
        for key in () if stage else method.space:
            _check_not_set(raw, key, where)
    return spec


def say_metric(ensemble: dict[str, Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    """`ensemble` with a mark where its metric is the default, log-loss, because somebody `typed` it: then it decides everywhere."""
    if typed.get("metric") != EnsembleConfig.model_fields["metric"].default:
        return {key: value for key, value in ensemble.items() if key != "metric_is_said" or "metric" not in typed}
    return {**ensemble, "metric_is_said": True}


def _check_not_set(raw: dict[str, Any], key: str, where: str) -> None:
    section: Any = raw
    for part in key.split("."):
        section = section.get(part) if isinstance(section, dict) else None
    if section is not None:
        raise SweepFileError(f"{where}: {key} is set to {show_value(section)} and also searched: remove one of the two")
