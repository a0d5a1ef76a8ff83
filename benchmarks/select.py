"""Compares greedy selection with AutoGluon's own class on the same pool in the same run: seconds, picks, and peak memory.

    python -m benchmarks.select              the smaller pool, a few minutes, nearly all of it AutoGluon's
    python -m benchmarks.select --large      also 1,000 members x 10,000 images x 100 classes, which takes 4 GB
    python -m benchmarks.select --large-only

AutoGluon is no part of the project's environment; of it three packages are enough, whatever versions they ask for:

    pip install --no-deps --target other autogluon.core==1.6.3 autogluon.common==1.6.3 autogluon.features==1.6.3 pandas
    PYTHONPATH=other python -m benchmarks.select

Where it is missing, ours is measured alone and the figures say so. One thread; the time is the processor's, set-up included. Of
the large pool AutoGluon is measured on two picks with as many members as a tenth, and counted up: every pick costs it the
same. `memory_share` is what selecting takes beside the pool, of the pool, at its peak.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import tracemalloc
import warnings
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.figures import at_most, write
from ensembles.config import EnsembleConfig
from ensembles.pool.pool import PredictionPool
from ensembles.selection.select import select
from trainables.results.checkpoint import CheckpointId

Kind = Literal["accuracy", "log_loss"]
PICKS = 50
GOALS: dict[tuple[Kind, int], float] = {
    ("accuracy", 200): 0.3,
    ("log_loss", 200): 0.5,
    ("accuracy", 1000): 12.0,
    ("log_loss", 1000): 2.0,
}
MISSING = "AutoGluon is not installed: ours is measured alone; see benchmarks/select.py for how to install it"
REPEATS = 3
LARGE_PICKS, LARGE_SHARE = 2, 10


def draw_pool(members: int, images: int, classes: int, seed: int = 0) -> PredictionPool:
    """Members that share most of their errors and differ in skill, as the trials of a sweep do; about 90 % are right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    common = rng.standard_normal((images, classes), np.float32)
    common[np.arange(images), labels] += 3.0 + 0.4 * np.log10(classes)
    pool = np.empty((members, images, classes), np.float32)
    for table in pool:
        rng.standard_normal(out=table, dtype=np.float32)
        table *= np.float32(rng.uniform(0.5, 1.2))
        table += common
        table *= np.float32(rng.uniform(0.8, 1.6))
        table -= table.max(axis=1, keepdims=True)
        np.exp(table, out=table)
        table /= table.sum(axis=1, keepdims=True)
    ids = tuple(CheckpointId(f"{number:012x}", 1) for number in range(members))
    return PredictionPool("drawn", "validation", ids, pool, labels, tuple(map(str, range(classes))))


def time_ours(pool: PredictionPool, kind: Kind, ties: Literal["caucus", "autogluon"]) -> tuple[float, list[int]]:
    """The median of some runs in seconds, and the picks."""
    config = EnsembleConfig(size=PICKS, metric=kind, ties=ties)
    took_s = []
    for _ in range(REPEATS):
        start_s = time.process_time()
        team = select(pool, config)
        took_s.append(time.process_time() - start_s)
    return sorted(took_s)[REPEATS // 2], [pool.position(member) for member in team.picks]


def measure_memory(pool: PredictionPool, kind: Kind) -> float:
    """What selecting takes at its peak beside the pool, of the pool."""
    tracemalloc.start()
    try:
        select(pool, EnsembleConfig(size=PICKS, metric=kind, ties="autogluon"))
        return tracemalloc.get_traced_memory()[1] / pool.probabilities.nbytes
    finally:
        tracemalloc.stop()


def time_autogluon(pool: PredictionPool, kind: Kind, picks: int) -> tuple[float, list[int]]:
    """Seconds and picks up to the best team; it does not report later picks."""
    from autogluon.core.metrics import accuracy, log_loss  # type: ignore[import-not-found]
    from autogluon.core.models.greedy_ensemble.ensemble_selection import (  # type: ignore[import-not-found]
        EnsembleSelection,
    )

    metric = {"accuracy": accuracy, "log_loss": log_loss}[kind]
    selection = EnsembleSelection(ensemble_size=picks, problem_type="multiclass", metric=metric)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that scikit-learn renames an argument, at every candidate
        start_s = time.process_time()
        selection.fit(list(pool.probabilities), pool.labels)
        return time.process_time() - start_s, [int(position) for position in selection.indices_]


def measure(kind: Kind, pool: PredictionPool, with_autogluon: bool) -> dict[str, Any]:
    """The figure of one pool. Raises `AssertionError` where the picks differ."""
    members = len(pool.members)
    ours_s, picks = time_ours(pool, kind, "autogluon")
    caucus_s, _ = time_ours(pool, kind, "caucus")
    shape = " x ".join(map(str, pool.probabilities.shape))
    details: dict[str, Any] = {
        "pool": shape,
        "picks": PICKS,
        "caucus_ties_s": round(caucus_s, 3),
        "memory_share": round(measure_memory(pool, kind), 3),
        "autogluon_s": None,
    }
    if not with_autogluon:
        details["note"] = MISSING
    elif members <= 200:
        theirs_s, theirs = time_autogluon(pool, kind, PICKS)
        details |= {"autogluon_s": round(theirs_s, 2), "same_picks": picks[: len(theirs)] == theirs}
    else:
        part = PredictionPool(
            pool.data_id,
            pool.split,
            pool.members[: members // LARGE_SHARE],
            pool.probabilities[: members // LARGE_SHARE],
            pool.labels,
            pool.class_names,
        )
        theirs_s, theirs = time_autogluon(part, kind, LARGE_PICKS)
        found = select(part, EnsembleConfig(size=LARGE_PICKS, metric=kind, ties="autogluon"))
        details |= {
            "autogluon_s": round(theirs_s * LARGE_SHARE * PICKS / LARGE_PICKS, 1),
            "same_picks": [part.position(member) for member in found.picks][: len(theirs)] == theirs,
            "note": f"AutoGluon measured on {len(part.members)} members and {LARGE_PICKS} picks ({theirs_s:.1f} s), "
            "and counted up: every member of every pick costs it the same",
        }
    if details.get("same_picks") is False:
        raise AssertionError(f"by {kind} on {shape} the picks are not AutoGluon's: {picks} and {theirs}")
    return at_most(ours_s, "s", GOALS[kind, members]) | details


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--large-only", action="store_true")
    with_autogluon = importlib.util.find_spec("autogluon") is not None
    if not with_autogluon:
        print(MISSING)
    arguments = parser.parse_args()
    sizes = ([] if arguments.large_only else [(200, 10)]) + (
        [(1000, 100)] if arguments.large or arguments.large_only else []
    )
    for members, classes in sizes:
        pool = draw_pool(members, 10_000, classes)
        kinds: tuple[Kind, ...] = ("accuracy", "log_loss")
        for kind in kinds:
            with threadpool_limits(1):
                figure = measure(kind, pool, with_autogluon)
            write({f"select/{kind.replace('_', '')}_{members}": figure})
        del pool


if __name__ == "__main__":
    main()
