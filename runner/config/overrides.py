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
from trainables.errors import SweepFileError
from trainables.plugins.kind import Kind, is_plugin
from trainables.plugins.kinds import KINDS, SEARCH, STORE

LONGEST_OVERRIDE = 120
"""Characters of an override in a message."""

OPEN_SECTIONS = {"model.": "model.name", "augment.": "augment.function"}
"""Sections of a trial whose plug-ins may have keys that can be searched, and the key that names the plug-in."""

SOURCES = ("name", "path", "csv")
"""Keys of `data` that exclude each other: an override of one removes the others."""


def apply_overrides(raw: dict[str, Any], overrides: Sequence[str], trial_keys: Iterable[str]) -> dict[str, Any]:
    """A copy of `raw` with every override applied; later ones win.

    A key of `trial_keys`, or of a custom model, that gets a range or several values moves into `search.space`; with a single value it is removed from there.
    Raises `SweepFileError` for arguments that are no override.
    """
    changed = copy.deepcopy(raw)
    searched = set(trial_keys)
    open_sections = tuple(
        section
        for section, key in OPEN_SECTIONS.items()
        if any(map(is_plugin, _values_of(raw, key)))
        or any(
            is_plugin(name)
            for typed in overrides
            if typed.startswith(f"{key}=")
            for name in typed[len(key) + 1 :].split(",")
        )
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
        if key in searched or key.startswith(open_sections):
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
    """Names of custom models that a sweep sets or searches, anywhere in it."""
    return sorted({str(name) for name in _values_of(raw, "model.name") if is_plugin(name)})


def custom_augmentation_names(raw: object) -> list[str]:
    """Names of custom augmentations that a sweep sets or searches, anywhere in it."""
    return sorted({str(name) for name in _values_of(raw, "augment.function") if is_plugin(name)})


def plugin_names(raw: object) -> dict[str, Kind]:
    """The plug-ins that a sweep names, anywhere in it, each with its kind."""
    found = {
        str(name): kind
        for kind in KINDS
        for key in ([kind.key, "stages.method"] if kind is SEARCH else [kind.key])
        for name in _values_of(raw, key)
        if is_plugin(name)
    }
    schemes = [
        str(uri).partition("://")[0]
        for key in ("store", "store.uri")
        for uri in _values_of(raw, key)
        if "://" in str(uri)
    ]
    return found | {scheme: STORE for scheme in schemes if is_plugin(scheme)}


def _values_of(at: object, wanted: str, key: str = "") -> Iterator[object]:
    """Values of the key `wanted` in a sweep, dotted or nested, also where it is searched: the ends of all its lists."""
    if isinstance(at, dict):
        for below, value in at.items():
            is_wanted = wanted in (key, below, f"{key}.{below}")
            yield from _values_of(value, wanted, wanted if is_wanted else str(below))
    elif isinstance(at, list | tuple):
        for value in at:
            yield from _values_of(value, wanted, key)
    elif key == wanted:
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
