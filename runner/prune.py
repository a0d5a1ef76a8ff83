"""Prunes the checkpoint of a trial to several sparsities, and keeps the curve of accuracy against sparsity in the store."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ensembles.pool import read_pool
from ensembles.pruned_curve import PrunedCurve, PrunedPoint, choose, judge_on_test, place_point, to_json
from ensembles.report.pruned_chart import draw_pruned_curve, stand_alone
from runner.conclusion import StoredRun
from runner.spec import nearest
from trainables import layout
from trainables.checkpoint import CheckpointId, read_part, write_checkpoint
from trainables.data import load_images
from trainables.data_table import DataTable, read_data_table
from trainables.errors import (
    CaucusError,
    DamagedObject,
    MismatchedPredictions,
    ObjectMissing,
    RunMismatch,
    TrialDiverged,
)
from trainables.images import ImageSet, labels_sha256
from trainables.pruned_checkpoint import METHODS, PrunedId, PruneMethod
from trainables.record import TrialRecord, rank
from trainables.store import Store
from trainables.store import to_json as json_bytes

if TYPE_CHECKING:
    from trainables.prune import PruningTask

Say = Callable[[str], None]


class CannotPrune(CaucusError, ValueError):
    """No such trial, no such method, or a sparsity that means nothing."""


@dataclass(frozen=True)
class Pruning:
    """What was found, and where it lies."""

    curve: PrunedCurve
    key: str
    """Of the curve in the store."""
    chart: str
    """Key of its chart."""

    def told(self) -> dict[str, Any]:
        """As one JSON object."""
        return {**to_json(self.curve), "key": self.key, "chart": self.chart}


def prune_run(
    stored: StoredRun,
    trial_id: str | None,
    method: PruneMethod,
    sparsities: Sequence[float],
    epochs: int,
    say: Say = lambda line: None,
) -> Pruning:
    """The curve of one trial's checkpoint at its best epoch; without `trial_id` that of the best trial on validation.

    What the store has of it already is read; the rest is trained here, without Ray, one sparsity after the other, and
    `say` gets a line each. Sparsity 0 is always among them: fine-tuning alone. The test split is scored once everything
    is chosen, for the chosen sparsity alone. Raises, with nothing written, `CannotPrune`, `RunMismatch` where the data are
    others than the run's, `ObjectMissing` or `DamagedObject` where the checkpoint is, `ModelUnusable` where channels of this
    net cannot be pruned.
    """
    record = find_trial(stored, trial_id)
    if method == "channel":
        from trainables.prune_channels import check_channels

        check_channels(record.config.model)
    checkpoint = best_checkpoint(stored, record)
    wanted = [PrunedId(*_ids(checkpoint), method, sparsity, epochs) for sparsity in (0.0, *sparsities)]
    table = read_data_table(stored.store, record.config.data_id)
    unpruned = _predicted(stored.store, checkpoint, "validation", table)
    images = read_images(stored, record)
    task = open_task(stored, record, checkpoint, images)
    labels = table.labels_of("validation")
    start = place_point(
        str(checkpoint), 0.0, _measure_unpruned(stored.store, task, checkpoint), unpruned, unpruned, labels
    )
    say(f"{checkpoint}: validation {start.accuracy:.2%} unpruned, {start.nonzero:,} weights")
    points: list[PrunedPoint] = []
    failed: list[tuple[float, str]] = []
    for one in wanted:
        try:
            measured, known = _provide(stored.store, task, one, table)
        except TrialDiverged as error:
            failed.append((one.sparsity, str(error)))
            say(f"{one}: {error}")
            continue
        point = place_point(
            str(one), one.sparsity, measured, _predicted(stored.store, one, "validation", table), unpruned, labels
        )
        points.append(point)
        say(_tell_point(point, known))
    chosen = choose(points)
    test = None
    if chosen is not None:  # only here, after everything has been chosen, are predictions on test opened
        best = next(one for one in wanted if one.sparsity == chosen.sparsity)
        pruned = _predicted(stored.store, best, "test", table)
        test = judge_on_test(pruned, _predicted(stored.store, checkpoint, "test", table), table.labels_of("test"))
    from trainables.prune import fine_tuning_config

    curve = PrunedCurve(
        run=stored.run,
        trial_id=record.trial_id,
        epoch=checkpoint.epoch,
        method=method,
        epochs=epochs,
        rate=fine_tuning_config(record.config).optimizer.lr,
        validation_images=len(labels),
        unpruned=start,
        points=tuple(points),
        failed=tuple(failed),
        test=test,
    )
    return keep(stored, curve)


def keep(stored: StoredRun, curve: PrunedCurve) -> Pruning:
    """Write the curve and its chart to the store."""
    key, chart_key = (
        layout.pruned_curve_key(stored.name, stored.run_id, curve.trial_id, curve.method, kind)
        for kind in ("json", "svg")
    )
    stored.store.put(chart_key, stand_alone(draw_pruned_curve(curve)).encode())
    stored.store.put(key, json_bytes(to_json(curve)))
    return Pruning(curve, key, chart_key)


def check_words(trial_id: str | None, best: bool, method: str, sparsities: str) -> tuple[PruneMethod, list[float]]:
    """Method and sparsities as a person writes them. Raises `CannotPrune`, also where both a trial and the best is asked for."""
    if trial_id is not None and best:
        raise CannotPrune(f"--trial {trial_id} and --best name two trials: keep one")
    return parse_method(method), parse_sparsities(sparsities)


def parse_method(told: str) -> PruneMethod:
    """The method of that name. Raises `CannotPrune`."""
    for method in METHODS:
        if told == method:
            return method
    raise CannotPrune(f"--method is {told!r}, not one of {', '.join(METHODS)}")


def parse_sparsities(told: str) -> list[float]:
    """Sparsities as a person writes them, rising, each once. Raises `CannotPrune` where one is not above 0 and below 1.

    >>> parse_sparsities("0.9,0.5, .90")
    [0.5, 0.9]
    """
    found = set()
    for word in told.split(","):
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not 0 < value < 1:
            raise CannotPrune(
                f"--sparsity has {word.strip()!r}: a share above 0 and below 1 of what is taken out, such as 0.5,0.9"
            )
        found.add(value)
    return sorted(found)


def find_trial(stored: StoredRun, trial_id: str | None) -> TrialRecord:
    """The trial of that name, or the best on validation. Raises `CannotPrune` where there is none, or it has no epoch."""
    ranked = rank(list(stored.state.trials.values()))
    if trial_id is None:
        found = next(iter(ranked), None)
    else:
        found = stored.state.trials.get(trial_id)
        if found is None:
            raise CannotPrune(
                f"--trial is {trial_id!r}: run {stored.run} has no such trial{nearest(trial_id, list(stored.state.trials))}; "
                f"`caucus top {stored.run}` lists them"
            )
    if found is None or found.best is None:
        which = f"trial {trial_id}" if trial_id else f"run {stored.run}"
        raise CannotPrune(f"{which} has no checkpoint to prune: no epoch of it has come to its end")
    return found


def best_checkpoint(stored: StoredRun, record: TrialRecord) -> CheckpointId:
    """The trial's checkpoint at its best epoch. Raises `ObjectMissing` where the store does not have it."""
    assert record.best is not None
    checkpoint = CheckpointId(record.trial_id, record.best.epoch)
    if stored.store.stat(checkpoint.key(layout.MANIFEST)) is None:
        raise ObjectMissing(
            f"checkpoint {checkpoint}, the best epoch of its trial, is not in {stored.store.uri}: run the sweep again "
            "to train it anew, or name another trial with --trial"
        )
    return checkpoint


def read_images(stored: StoredRun, record: TrialRecord) -> ImageSet:
    """The images as the run had them. Raises `RunMismatch` where they cannot be found, or are others now."""
    if stored.spec is None:
        raise RunMismatch(
            f"the sweep of run {stored.run} was recorded by another version and names no images that this one can read: "
            "prune with that version"
        )
    images = load_images(stored.spec.data)
    if images.data_id != record.config.data_id:
        raise RunMismatch(
            f"run {stored.run} was trained on data {record.config.data_id}, but its sweep names data {images.data_id} now: "
            "images, labels or versions have changed; restore them, or run the sweep again"
        )
    return images


def open_task(stored: StoredRun, record: TrialRecord, checkpoint: CheckpointId, images: ImageSet) -> PruningTask:
    """The checkpoint in memory beside the images it was trained on; torch is set as in a trial's own worker."""
    weights = read_part(stored.store, checkpoint, layout.WEIGHTS)
    timing = json.loads(read_part(stored.store, checkpoint, layout.TIMING))
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    from trainables.device_images import add_pseudo_labelled, place_images
    from trainables.prune import PruningTask
    from trainables.pseudo_table import read_pseudo_table

    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))
    torch.use_deterministic_algorithms(True, warn_only=True)
    placed = place_images(images.arrays, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if record.config.pseudo_table:
        extra = read_pseudo_table(stored.store, images.data_id, record.config.pseudo_table)
        placed = add_pseudo_labelled(placed, extra.pixels, extra.labels)
    hashes = {split: labels_sha256(images.labels[images.rows(split)]) for split in layout.SPLITS}
    return PruningTask(record.config, weights, placed, hashes, int(timing.get("parts", 1)))


def _measure_unpruned(store: Store, task: PruningTask, checkpoint: CheckpointId) -> dict[str, Any]:
    """Of the checkpoint as it is: what it measured of itself, and its size."""
    from trainables.prune import load_net
    from trainables.pruned_size import measure_size

    metrics = json.loads(read_part(store, checkpoint, layout.METRICS))
    net = load_net(task.config, task.images, task.weights).eval()
    return {
        "before_accuracy": metrics["validation_accuracy"],
        "accuracy": metrics["validation_accuracy"],
        "loss": metrics["validation_loss"],
        **asdict(measure_size(net, task.images.shape, task.weights)),
    }


def _provide(store: Store, task: PruningTask, wanted: PrunedId, table: DataTable) -> tuple[dict[str, Any], bool]:
    """What a pruned checkpoint measured, and whether the store had it whole; else it is made and stored now."""
    try:
        for part in (layout.WEIGHTS, layout.predictions_part("test")):  # proved whole, not looked into
            read_part(store, wanted, part)
        read_pool(store, [wanted], "validation", table)
        return json.loads(read_part(store, wanted, layout.METRICS)), True
    except (ObjectMissing, DamagedObject, MismatchedPredictions):
        pass
    from trainables.prune import prune_checkpoint

    parts = prune_checkpoint(task, wanted)
    write_checkpoint(store, wanted, parts)
    return json.loads(parts[layout.METRICS]), False


def _predicted(store: Store, checkpoint: CheckpointId, split: str, table: DataTable) -> npt.NDArray[np.int64]:
    """Predicted classes int64 (images,), proved to be of the run's images."""
    predicted: npt.NDArray[np.int64] = read_pool(store, [checkpoint], split, table).probabilities[0].argmax(1)
    return predicted


def _ids(checkpoint: CheckpointId) -> tuple[str, int]:
    return checkpoint.trial_id, checkpoint.epoch


def _tell_point(point: PrunedPoint, known: bool) -> str:
    """One line for a terminal."""
    return (
        f"{point.name}: validation {point.before_accuracy:.2%} pruned, {point.accuracy:.2%} trained on, "
        f"{point.nonzero:,} weights, {point.compressed_bytes:,} bytes compressed"
        + ("" if point.within_noise else f", worse than noise (p {point.p:.2g})")
        + (" (from the store)" if known else "")
    )
