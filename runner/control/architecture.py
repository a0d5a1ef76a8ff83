"""Which trials take equally long a step: the name of their architecture, and how far two are apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trainables.config.base import flatten, short_hash
from trainables.config.trial import TrialConfig

Features = tuple[float, ...]


def architecture_of(config: TrialConfig) -> dict[str, Any]:
    """The keys of a trial that decide how long a step takes; of shares, such as dropout, whether they are above zero."""
    flat = flatten(config.model_dump(mode="json", include={"model", "optimizer", "precision"}))
    kept = {key: value for key, value in flat.items() if not key.startswith("optimizer.")}
    kept |= {key: flat[key] for key in ("optimizer.name", "optimizer.batch_size")}
    kept["boost.round"] = config.boost.round  # a round of gradient boosting predicts with the nets of those before, too
    return {key: value > 0 if isinstance(value, float) else value for key, value in kept.items()}


def name_architecture(config: TrialConfig) -> str:
    """A short name that two trials share if a step of them takes the same time."""
    return short_hash(architecture_of(config), digits=8)


def name_rest(config: TrialConfig) -> str:
    """A short name that two trials share if they differ in nothing but their architecture and their seed."""
    flat = flatten(config.model_dump(mode="json", exclude={"seed", "data_id"}))
    decides = architecture_of(config)
    return short_hash({key: flat[key] for key in flat if key not in decides or isinstance(flat[key], float)}, digits=8)


def spread(configs: Sequence[TrialConfig], most: int) -> list[TrialConfig]:
    """One trial of each architecture; of more than `most` those that are farthest from each other.

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
    """Of each trial its architecture as numbers: whole numbers as logarithms, words as one 0 or 1 for each that occurs."""
    told = [architecture_of(config) for config in configs]
    keys = sorted({key for one in told for key in one})
    words = {
        key: sorted({str(one.get(key)) for one in told})
        for key in keys
        if any(isinstance(one.get(key), str | None) for one in told)
    }
    for one in told:
        values: list[float] = []
        for key in keys:
            value = one.get(key)
            if key in words:
                values += [float(str(value) == word) for word in words[key]]
            elif isinstance(value, bool):
                values.append(float(value))
            else:
                values.append(math.log(max(1, value or 1)))
        yield tuple(values)
