"""Possible causes of a night that is worse than an earlier one: everything that has changed, the likeliest first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ensembles.nights.summary import CAUSES, Cause, CauseKind, NightFacts
from runner.config.sweep import SweepSpec
from runner.nights.code_version import are_comparable
from runner.nights.data_change import DataRecord, describe_changed_images, describe_relabelled

NO_CAUSE = ("name", "store", "nightly", "keep", "resources")
"""Keys of a sweep file that affect no result."""

SET_BY_NIGHT = ("search.warm_start", "search.seed")
"""Keys that a night sets automatically."""

MOST_KEYS = 8
"""Changed keys that are listed with their values; further ones are counted."""

LONGEST_VALUE = 60


@dataclass(frozen=True)
class NightInputs:
    """The inputs of a night: code, configuration, data and ends of trials."""

    facts: NightFacts
    config: Mapping[str, Any]
    """Dotted keys and values of its sweep, from `flatten_spec`."""
    data: DataRecord
    ends: Mapping[str, int]
    """Number of trials by their end state."""


def find_causes(now: NightInputs, before: NightInputs) -> tuple[tuple[Cause, ...], tuple[str, ...]]:
    """What changed, the likeliest cause first, and what is unchanged."""
    found = {kind: description for kind, description in _changes(now, before) if description}
    causes = tuple(Cause(kind, found[kind]) for kind in CAUSES if kind in found)
    same = {
        "the data": not {"labels", "images"} & found.keys(),
        "the configuration": "configuration" not in found,
        "the code": "code" not in found and are_comparable(now.facts.code, before.facts.code),
        "your own models": "custom code" not in found and bool(now.facts.custom_code),
        "the versions of packages": "versions" not in found,
    }
    return causes, tuple(what for what, is_same in same.items() if is_same)


def _changes(now: NightInputs, before: NightInputs) -> Iterator[tuple[CauseKind, str]]:
    yield "trials", _describe_ends(now.ends, before.ends)
    yield "configuration", describe_changed_keys(now.config, before.config)
    if now.facts.data_id != before.facts.data_id:
        labels, images = describe_relabelled(now.data, before.data), describe_changed_images(now.data, before.data)
        yield "labels", f"{labels}: data {before.facts.data_id} -> {now.facts.data_id}" if labels else ""
        # Names and order of images are part of a data set too.
        change = images or ("" if labels else "the same images in another order, or in other groups or sources")
        yield "images", f"{change}: data {before.facts.data_id} -> {now.facts.data_id}" if change else ""
    yield "custom code", _describe_custom_code(now.facts.custom_code, before.facts.custom_code)
    if now.facts.code != before.facts.code and are_comparable(now.facts.code, before.facts.code):
        yield "code", f"caucus {_describe_code(before.facts)} -> {_describe_code(now.facts)}"
    yield "versions", _describe_pairs(now.facts.versions, before.facts.versions)


def describe_changed_keys(now: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """The keys of a sweep whose values differ, `scheduler.max_epochs 6 -> 1`; "" where none does."""
    return _describe_pairs(now, before)


def flatten_spec(spec: SweepSpec, by_night: bool = False) -> dict[str, Any]:
    """The keys that affect a sweep's results, dotted; `by_night` leaves out those that a night sets automatically."""
    flat = dict(_flatten(spec.model_dump(mode="json", exclude=set(NO_CAUSE))))
    left_out = SET_BY_NIGHT if by_night else ()
    return {key: value for key, value in flat.items() if not any(f"{key}.".startswith(f"{one}.") for one in left_out)}


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree


def _describe_ends(now: Mapping[str, int], before: Mapping[str, int]) -> str:
    """Counts of trials that failed, diverged or were stopped, where they have risen."""
    counts = [
        f"{now.get(end, 0)} trials {end} ({before.get(end, 0)} then)"
        for end in ("failed", "diverged", "stopped")
        if now.get(end, 0) > before.get(end, 0)
    ]
    return ", ".join(counts)


def _describe_custom_code(now: Mapping[str, str], before: Mapping[str, str]) -> str:
    changed = sorted(name for name in {*now, *before} if now.get(name) != before.get(name))
    return f"your own code in {', '.join(changed)}" if changed else ""


def _describe_code(facts: NightFacts) -> str:
    """Version and commit; with a hash of the sources where files differ from the commit or there is none."""
    commit = [f"commit {facts.commit}"] if facts.commit else []
    sources = [] if facts.commit and not facts.commit.endswith("+") else [f"sources {facts.code}"]
    return f"{facts.caucus} ({', '.join(commit + sources)})"


def _describe_pairs(now: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    keys = [key for key in {**before, **now} if now.get(key) != before.get(key)]
    shown = [f"{key} {_describe_value(before, key)} -> {_describe_value(now, key)}" for key in keys[:MOST_KEYS]]
    more = [f"{len(keys) - MOST_KEYS} more"] if len(keys) > MOST_KEYS else []
    return ", ".join(shown + more)


def _describe_value(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "absent"
    value = values[key] if isinstance(values[key], str) else json.dumps(values[key], ensure_ascii=False)
    return value if len(value) <= LONGEST_VALUE else f"{value[: LONGEST_VALUE - 1]}…"
