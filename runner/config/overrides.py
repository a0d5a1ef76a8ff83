"""Overrides on the command line: `key=value` arguments that need no quotes in a shell or for `ray submit`.

search.trials=48               one value
model.width=16,32              one of several: the key is searched
model.dropout=0..0.5           any number in between
optimizer.lr=1e-4..1e-1:log    the same on a logarithmic scale
model.blocks=1..4:int          whole numbers
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from runner.config.nightly import mask_arguments
from runner.config.yaml_file import parse_yaml
from trainables.config.model import is_custom_model
from trainables.errors import SweepFileError

LONGEST_OVERRIDE = 120
"""Characters of an override in a message."""

SOURCES = ("name", "path", "csv")
"""Keys of `data` that exclude each other: an override of one removes the others."""


def apply_overrides(raw: dict[str, Any], overrides: Sequence[str], trial_keys: Iterable[str]) -> dict[str, Any]:
    """A copy of `raw` with every override applied; later ones win.

    A key of `trial_keys`, or of a custom model, that gets a range or several values moves into `search.space`; with a single value it is removed from there.
    Raises `SweepFileError` for arguments that are no override.
    """
    changed = copy.deepcopy(raw)
    searched = set(trial_keys)
    has_custom_model = bool(custom_model_names(raw)) or any(
        override.startswith("model.name=") and ":" in override for override in overrides
    )
    for typed in overrides:
        key, equals, text = typed.partition("=")
        shown = mask_arguments([typed])[0]
        override = shown if len(shown) <= LONGEST_OVERRIDE else f"{shown[: LONGEST_OVERRIDE - 1]}…"
        if not equals or not key or not text:
            raise SweepFileError(f"{override!r} is no override: write key=value, such as search.trials=48")
        if key.startswith("search.space."):
            key = key.removeprefix("search.space.")
            searched.add(key)
        if key in searched or (has_custom_model and key.startswith("model.")):
            _override_trial_key(changed, key, text, override)
        else:
            if (
                key.startswith("data.")
                and key.removeprefix("data.") in SOURCES
                and isinstance(changed.get("data"), dict)
            ):
                for source in SOURCES:
                    changed["data"].pop(source, None)
            if key == "store" or key.startswith("store."):
                if isinstance(changed.get("store"), str):
                    changed["store"] = {"uri": changed["store"]}
                key = "store.uri" if key == "store" else key
            _set(changed, key, parse_yaml(text, f"override {override}"), override)
    return changed


def custom_model_names(raw: object) -> list[str]:
    """Names of custom models (`module:function`) that a sweep sets or searches, anywhere in it."""
    return sorted({name for name in _model_names(raw) if isinstance(name, str) and is_custom_model(name)})


def _model_names(at: object, key: str = "") -> Iterator[object]:
    if isinstance(at, dict):
        for below, value in at.items():
            named = "model.name" if "model.name" in (below, f"{key}.{below}") or key == "model.name" else str(below)
            yield from _model_names(value, named)
    elif isinstance(at, list | tuple):
        for value in at:
            yield from _model_names(value, key)
    elif key == "model.name":
        yield at


def _override_trial_key(raw: dict[str, Any], key: str, text: str, override: str) -> None:
    search = raw.setdefault("search", {})
    space = search.setdefault("space", {}) if isinstance(search, dict) else None
    if not isinstance(space, dict):
        raise SweepFileError(f"override {override}: search.space in the file is no mapping")
    varied = _parse_varied(text, override)
    if varied is None:
        space.pop(key, None)
        _set(raw, key, parse_yaml(text, f"override {override}"), override)
    else:
        space[key] = varied
        _remove(raw, key)


def _parse_varied(text: str, override: str) -> dict[str, Any] | None:
    """The distribution that `text` denotes, or None where it is a single value."""
    low, dots, rest = text.partition("..")
    if dots:
        high, _, kind = rest.partition(":")
        bounds = [parse_yaml(bound, f"override {override}") for bound in (low, high)]
        return {kind or "uniform": bounds}
    if "," in text:
        return {"choice": [parse_yaml(value, f"override {override}") for value in text.split(",")]}
    return None


def _set(raw: dict[str, Any], key: str, value: Any, override: str) -> None:
    *parents, last = key.split(".")
    at = raw
    for parent in parents:
        below = at.setdefault(parent, {})
        if not isinstance(below, dict):
            raise SweepFileError(f"override {override}: {parent} is {below!r}, which has no keys below it")
        at = below
    at[last] = value


def _remove(raw: dict[str, Any], key: str) -> None:
    *parents, last = key.split(".")
    at: Any = raw
    for parent in parents:
        at = at.get(parent) if isinstance(at, dict) else None
    if isinstance(at, dict):
        at.pop(last, None)
