"""Architectures: trials of the same one take the same time per step. Their names, and distances between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trainables.config.base import flatten, short_hash
from trainables.config.trial import TrialConfig

Features = tuple[float, ...]


def architecture_of(config: TrialConfig) -> dict[str, Any]:
    """The keys of a trial that decide how long a step takes. Shares, such as dropout, count as whether they are above zero."""
    flat = flatten(config.model_dump(mode="json", include={"model", "optimizer", "precision"}))
    keys = {key: value for key, value in flat.items() if not key.startswith("optimizer.")}
    keys |= {key: flat[key] for key in ("optimizer.name", "optimizer.batch_size")}
    keys["boost.round"] = config.boost.round  # a round of gradient boosting predicts with the nets of those before, too
    return {key: value > 0 if isinstance(value, float) else value for key, value in keys.items()}


def name_architecture(config: TrialConfig) -> str:
    """A short name that two trials share if their steps take the same time."""
    return short_hash(architecture_of(config), digits=8)


def name_rest(config: TrialConfig) -> str:
    """A short name that two trials share if they differ in nothing but their architecture and their seed."""
    flat = flatten(config.model_dump(mode="json", exclude={"seed", "data_id", "code"}))
    decides = architecture_of(config)
    return short_hash({key: flat[key] for key in flat if key not in decides or isinstance(flat[key], float)}, digits=8)


def spread(configs: Sequence[TrialConfig], most: int) -> list[TrialConfig]:
    """One trial of each architecture; if there are more than `most`, those that are farthest from each other.

    The first is the commonest; each further one is that whose nearest among those taken is the farthest away (Gonzalez
    1985), in the space of the keys, whole numbers as logarithms.
    """
    found: dict[str, TrialConfig] = {}
    counts: dict[str, int] = {}
    for config in configs:
        name = name_architecture(config)
        found.setdefault(name, config)
        counts[name] = counts.get(name, 0) + 1
    if len(found) <= most:
        return list(found.values())
    places = np.array(list(features([*found.values()])))
    taken = [max(range(len(found)), key=lambda at: (list(counts.values())[at], -at))]
    nearest = np.full(len(found), np.inf)
    while len(taken) < most:
        nearest = np.minimum(nearest, np.linalg.norm(places - places[taken[-1]], axis=1))
        taken.append(int(nearest.argmax()))
    return [list(found.values())[at] for at in taken]


def features(configs: Sequence[TrialConfig]) -> Iterator[Features]:
    """The architecture of each trial as numbers: whole numbers as logarithms, strings one-hot encoded."""
    architectures = [architecture_of(config) for config in configs]
    keys = sorted({key for one in architectures for key in one})
    categories = {
        key: sorted({str(one.get(key)) for one in architectures})
        for key in keys
        if any(isinstance(one.get(key), str | None) for one in architectures)
    }
    for one in architectures:
        values: list[float] = []
        for key in keys:
            value = one.get(key)
            if key in categories:
                values += [float(str(value) == category) for category in categories[key]]
            elif isinstance(value, bool):
                values.append(float(value))
            else:
                values.append(math.log(max(1, value or 1)))
        yield tuple(values)
