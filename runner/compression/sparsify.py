"""Sparsifies the checkpoint of a trial to several sparsities by pruning its net, and keeps the curve of accuracy against sparsity in the store."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ensembles.compression.pruned_curve import PrunedCurve, PrunedPoint, choose, evaluate_on_test, place_point, to_json
from ensembles.pool.pool import read_pool
from ensembles.report.charts.pruned import draw_pruned_curve, stand_alone
from runner.compression.trained_trial import best_checkpoint, find_trial, parts_of, place_as_trained, read_images
from runner.runs.stored_run import StoredRun
from trainables.data.data_table import DataTable, read_data_table
from trainables.data.images import ImageSet, hash_labels
from trainables.errors import CaucusError, DamagedObject, MismatchedPredictions, ObjectMissing, TrialDiverged
from trainables.results.checkpoint import CheckpointId, read_json_part, read_part, write_checkpoint
from trainables.results.pruned_checkpoint import METHODS, PrunedId, PruneMethod
from trainables.results.record import TrialRecord
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import to_json as json_bytes

if TYPE_CHECKING:
    from trainables.compression.prune import PruningTask

Notify = Callable[[str], None]


class CannotSparsify(CaucusError, ValueError):
    """No such method, a sparsity that means nothing, or two names for one trial."""


@dataclass(frozen=True)
class Sparsified:
    """A curve, and where the store has it."""

    curve: PrunedCurve
    key: str
    """Key of the curve in the store."""
    chart: str
    """Key of its chart."""

    def to_dict(self) -> dict[str, Any]:
        """The result as one JSON object."""
        return {**to_json(self.curve), "key": self.key, "chart": self.chart}


def sparsify_run(
    stored: StoredRun,
    trial_id: str | None,
    method: PruneMethod,
    sparsities: Sequence[float],
    epochs: int,
    notify: Notify = lambda line: None,
) -> Sparsified:
    """The curve of one trial's checkpoint at its best epoch; without `trial_id`, that of the best trial on validation.

    Points that the store has already are read; the others are trained here, without Ray, one sparsity after the other, and
    `notify` gets a line each. Sparsity 0 is always among them: fine-tuning alone. The test split is scored once everything
    is chosen, for the chosen sparsity alone. Raises, with nothing written, `NoSuchTrial`, `RunMismatch` if the data are not
    the run's, `ObjectMissing` or `DamagedObject` if the checkpoint is missing or damaged, `ModelUnusable` if channels of
    this net cannot be pruned.
    """
    record = find_trial(stored, trial_id)
    if method == "channel":
        from trainables.compression.prune_channels import check_channels

        check_channels(record.config.model, record.config.boost.round)
    checkpoint = best_checkpoint(stored, record)
    pruned_ids = [PrunedId(*_ids(checkpoint), method, sparsity, epochs) for sparsity in (0.0, *sparsities)]
    table = read_data_table(stored.store, record.config.data_id)
    unpruned = _predicted(stored.store, checkpoint, "validation", table)
    images = read_images(stored, record)
    task = open_task(stored, record, checkpoint, images)
    labels, groups = table.labels_of("validation"), table.groups_of("validation")
    start = place_point(
        str(checkpoint), 0.0, _measure_unpruned(stored.store, task, checkpoint), unpruned, unpruned, labels, groups
    )
    notify(f"{checkpoint}: validation {start.accuracy:.2%} as trained, {start.nonzero:,} weights")
    points: list[PrunedPoint] = []
    failed: list[tuple[float, str]] = []
    for one in pruned_ids:
        try:
            measured, known = _provide(stored.store, task, one, table)
        except TrialDiverged as error:
            failed.append((one.sparsity, str(error)))
            notify(f"{one}: {error}")
            continue
        predicted = _predicted(stored.store, one, "validation", table)
        point = place_point(str(one), one.sparsity, measured, predicted, unpruned, labels, groups)
        points.append(point)
        notify(_describe_point(point, known))
    chosen = choose(points)
    test = None
    if chosen is not None:  # only here, after everything has been chosen, are predictions on test opened
        best = next(one for one in pruned_ids if one.sparsity == chosen.sparsity)
        pruned = _predicted(stored.store, best, "test", table)
        before = _predicted(stored.store, checkpoint, "test", table)
        test = evaluate_on_test(pruned, before, table.labels_of("test"), table.groups_of("test"))
    from trainables.compression.prune import fine_tuning_config

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
    return save_curve(stored, curve)


def save_curve(stored: StoredRun, curve: PrunedCurve) -> Sparsified:
    """Write the curve and its chart to the store."""
    key, chart_key = (
        layout.pruned_curve_key(stored.name, stored.run_id, curve.trial_id, curve.method, kind)
        for kind in ("json", "svg")
    )
    stored.store.put(chart_key, stand_alone(draw_pruned_curve(curve)).encode())
    stored.store.put(key, json_bytes(to_json(curve)))
    return Sparsified(curve, key, chart_key)


def parse_arguments(trial_id: str | None, best: bool, method: str, sparsities: str) -> tuple[PruneMethod, list[float]]:
    """Method and sparsities from the command line. Raises `CannotSparsify`, also if both --trial and --best are given."""
    if trial_id is not None and best:
        raise CannotSparsify(f"--trial {trial_id} and --best name two trials: keep one")
    return parse_method(method), parse_sparsities(sparsities)


def parse_method(text: str) -> PruneMethod:
    """The method of that name. Raises `CannotSparsify`."""
    for method in METHODS:
        if text == method:
            return method
    raise CannotSparsify(f"--method is {text!r}, not one of {', '.join(METHODS)}")


def parse_sparsities(text: str) -> list[float]:
    """Sparsities from the command line, in ascending order, each once. Raises `CannotSparsify` if one is not above 0 and below 1.

    >>> parse_sparsities("0.9,0.5, .90")
    [0.5, 0.9]
    """
    found = set()
    for part in text.split(","):
        try:
            value = float(part)
        except ValueError:
            value = math.nan
        if not 0 < value < 1:
            raise CannotSparsify(
                f"--sparsity has {part.strip()!r}: a share above 0 and below 1 of what is taken out, such as 0.5,0.9"
            )
        found.add(value)
    return sorted(found)


def open_task(stored: StoredRun, record: TrialRecord, checkpoint: CheckpointId, images: ImageSet) -> PruningTask:
    """The checkpoint in memory beside the images it was trained on; torch is set as in a trial's own worker."""
    weights = read_part(stored.store, checkpoint, layout.WEIGHTS)
    placed = place_as_trained(stored.store, record.config, images)
    from trainables.compression.prune import PruningTask

    return PruningTask(record.config, weights, placed, hash_labels(images), parts_of(stored.store, checkpoint))


def _measure_unpruned(store: Store, task: PruningTask, checkpoint: CheckpointId) -> dict[str, Any]:
    """Metrics and size of the unpruned checkpoint."""
    from trainables.compression.pruned_size import measure_size
    from trainables.models.load import load_net

    metrics = read_json_part(store, checkpoint, layout.METRICS)
    net = load_net(task.config, task.images.shape, task.weights).to(task.images.pixels.device).eval()
    return {
        "before_accuracy": metrics["validation_accuracy"],
        "accuracy": metrics["validation_accuracy"],
        "loss": metrics["validation_loss"],
        **asdict(measure_size(net, task.images.shape, task.weights)),
    }


def _provide(store: Store, task: PruningTask, pruned: PrunedId, table: DataTable) -> tuple[dict[str, Any], bool]:
    """Metrics of a pruned checkpoint, and whether the store had it whole; if not, it is made and stored now."""
    try:
        for part in (layout.WEIGHTS, layout.predictions_part("test")):  # verified, but not used
            read_part(store, pruned, part)
        read_pool(store, [pruned], "validation", table)
        return read_json_part(store, pruned, layout.METRICS), True
    except (ObjectMissing, DamagedObject, MismatchedPredictions):
        pass
    from trainables.compression.prune import prune_checkpoint

    parts = prune_checkpoint(task, pruned)
    write_checkpoint(store, pruned, parts)
    return json.loads(parts[layout.METRICS]), False


def _predicted(store: Store, checkpoint: CheckpointId, split: str, table: DataTable) -> npt.NDArray[np.int64]:
    """Predicted classes int64 (images,), verified to be of the run's images."""
    predicted: npt.NDArray[np.int64] = read_pool(store, [checkpoint], split, table).probabilities[0].argmax(1)
    return predicted


def _ids(checkpoint: CheckpointId) -> tuple[str, int]:
    return checkpoint.trial_id, checkpoint.epoch


def _describe_point(point: PrunedPoint, known: bool) -> str:
    """One line for a terminal."""
    return (
        f"{point.name}: validation {point.before_accuracy:.2%} sparsified, {point.accuracy:.2%} trained on, "
        f"{point.nonzero:,} weights, {point.compressed_bytes:,} bytes compressed"
        + ("" if point.within_noise else f", worse than noise (p {point.p:.2g})")
        + (" (from the store)" if known else "")
    )
