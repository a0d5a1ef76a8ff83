"""Records the learning curves of real trials, for benchmarks/curves.py, and writes benchmarks/recorded/fashion_mnist.parquet.

    nice -n 19 python -m benchmarks.record_curves    half an hour on two free cores

Every trial of benchmarks/curves.yaml is trained to its last epoch by `trainables.training.training` alone: no Ray, no store.
Finished trials are kept in build/, one a line, so an interrupted recording continues where it was.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.curves import PARQUET, SERIES, SWEEP
from runner.config.checks import read_spec
from runner.config.sweep import SweepSpec
from runner.search import choose
from trainables.config.base import flatten
from trainables.config.trial import TrialConfig
from trainables.data.images import ImageSet
from trainables.datasets.load import load_images
from trainables.errors import TrialDiverged
from trainables.training.device_images import DeviceImages, place_images
from trainables.training.training import Training

WORK = Path(__file__).parents[1] / "build" / "curves.jsonl"
IMAGES = {"train": 4000, "validation": 2000}
REPEATED = 40
"""Number of configurations that are trained with a second seed, to separate chance from the effect of the configuration."""
WORKERS = 2

_placed: list[DeviceImages] = []


def thin(images: ImageSet, counts: dict[str, int], seed: int = 0) -> ImageSet:
    """`images` with only `counts` images of each named split, drawn at random, and none of the others."""
    random = np.random.default_rng(seed)
    kept = np.sort(np.concatenate([random.choice(images.rows(split), n, replace=False) for split, n in counts.items()]))
    return replace(
        images,
        pixels=images.pixels[kept],
        labels=images.labels[kept],
        image_ids=tuple(images.image_ids[row] for row in kept.tolist()),
        splits=images.splits[kept],
    )


def list_trials(spec: SweepSpec, data_id: str) -> list[TrialConfig]:
    """The trials of a random search in their order, then `REPEATED` of them with another seed."""
    trials = choose.list_trials(spec, data_id)
    return trials + [trial.model_copy(update={"seed": trial.seed + 1}) for trial in trials[:REPEATED]]


def record(config: TrialConfig, epochs: int) -> dict[str, Any]:
    """Train one trial: its values, whether it diverged, and what each of its epochs measured."""
    training = Training(config, _placed[0])
    series: dict[str, list[float]] = {name: [] for name in SERIES}
    diverged = False
    try:
        for _ in range(epochs):
            # Processor time: others on the machine do not stretch it, and with one thread it is what a free core takes.
            start_s = time.process_time()
            train_loss, _ = training.train_epoch()
            seen = training.evaluate("validation")
            busy_s = time.process_time() - start_s
            for name, value in zip(SERIES, (train_loss, seen.loss, seen.accuracy, busy_s), strict=True):
                series[name].append(value)
    except TrialDiverged:
        diverged = True
    return {
        "trial_id": config.trial_id,
        "config": config.model_dump(mode="json"),
        "diverged": diverged,
        **training.circumstances(),
        **series,
    }


def _place(images: ImageSet) -> None:
    torch.set_num_threads(1)
    _placed.append(place_images(images.arrays, torch.device("cpu")))


def record_all(images: ImageSet, trials: list[TrialConfig], epochs: int) -> Iterator[dict[str, Any]]:
    """Record `trials` on `WORKERS` processes, each as soon as it is done."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=spawn, initializer=_place, initargs=(images,)) as pool:
        for done in as_completed([pool.submit(record, trial, epochs) for trial in trials]):
            yield done.result()


def read_lines() -> dict[str, dict[str, Any]]:
    """The records in the work file, by trial; a line that a crash cut off is left out."""
    found = {}
    for line in WORK.read_text().splitlines() if WORK.exists() else []:
        try:
            parsed = json.loads(line)
        except ValueError:
            continue
        found[parsed["trial_id"]] = parsed
    return found


def write_parquet(spec: SweepSpec, trials: list[TrialConfig], found: dict[str, dict[str, Any]], path: Path) -> None:
    """One row a trial, in the order of `trials`; a series has one value an epoch that was finished."""
    records = [found[trial.trial_id] for trial in trials]
    columns: dict[str, pa.Array] = {"seed": pa.array([trial.seed for trial in trials])}
    for key in spec.search.space:
        columns[key] = pa.array([flatten(trial.model_dump())[key] for trial in trials])
    columns["diverged"] = pa.array([one["diverged"] for one in records])
    for name in SERIES:
        columns[name] = pa.array([one[name] for one in records], pa.list_(pa.float32()))
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "command": "python -m benchmarks.record_curves",
        **{f"{split}_images": str(count) for split, count in IMAGES.items()},
        "epochs": str(spec.scheduler.max_epochs),
        **{name: " + ".join(sorted({one[name] for one in records})) for name in ("torch", "precision", "device")},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(about), path, compression="zstd", compression_level=19)


def main() -> None:
    spec = read_spec(str(SWEEP), [])
    images = thin(load_images(spec.data), IMAGES)
    trials = list_trials(spec, images.data_id)
    found = read_lines()
    missing = [trial for trial in trials if trial.trial_id not in found]
    WORK.parent.mkdir(exist_ok=True)
    start_s = time.monotonic()
    with WORK.open("a") as work:
        work.write("\n" if WORK.stat().st_size else "")
        for count, record in enumerate(record_all(images, missing, spec.scheduler.max_epochs), 1):
            work.write(json.dumps(record) + "\n")
            work.flush()
            os.fsync(work.fileno())
            print(f"{count} of {len(missing)} trials after {time.monotonic() - start_s:.0f} s", flush=True)
    write_parquet(spec, trials, read_lines(), PARQUET)


if __name__ == "__main__":
    main()
