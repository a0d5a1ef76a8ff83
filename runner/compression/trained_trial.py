"""One trial of a stored run, and what is needed to work on its checkpoints, without Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.config.messages import nearest
from runner.runs.stored_run import StoredRun
from trainables.config.trial import TrialConfig
from trainables.data.images import ImageSet
from trainables.datasets.load import load_images
from trainables.errors import CaucusError, ObjectMissing, RunMismatch
from trainables.results.checkpoint import CheckpointId, read_json_part
from trainables.results.record import TrialRecord, rank
from trainables.store import layout
from trainables.store.base import Store

if TYPE_CHECKING:
    from trainables.training.device_images import DeviceImages


class NoSuchTrial(CaucusError, LookupError):
    """A run has no trial of that name, or none with an epoch."""


def find_trial(stored: StoredRun, trial_id: str | None) -> TrialRecord:
    """The trial of that name, or the best on validation. Raises `NoSuchTrial` if there is none, or if it has no epoch."""
    ranked = rank(list(stored.state.trials.values()))
    if trial_id is None:
        found = next(iter(ranked), None)
    else:
        found = stored.state.trials.get(trial_id)
        if found is None:
            raise NoSuchTrial(
                f"--trial is {trial_id!r}: run {stored.run} has no such trial{nearest(trial_id, list(stored.state.trials))}; "
                f"`caucus top {stored.run}` lists them"
            )
    if found is None or found.best is None:
        which = f"trial {trial_id}" if trial_id else f"run {stored.run}"
        raise NoSuchTrial(f"{which} has no checkpoint: no epoch of it has come to its end")
    return found


def best_checkpoint(stored: StoredRun, record: TrialRecord) -> CheckpointId:
    """The trial's checkpoint at its best epoch. Raises `ObjectMissing` if the store does not have it."""
    assert record.best is not None
    checkpoint = CheckpointId(record.trial_id, record.best.epoch)
    if stored.store.stat(checkpoint.key(layout.MANIFEST)) is None:
        raise ObjectMissing(
            f"checkpoint {checkpoint}, the best epoch of its trial, is not in {stored.store.uri}: run the sweep again "
            "to train it again, or name another trial with --trial"
        )
    return checkpoint


def read_images(stored: StoredRun, record: TrialRecord) -> ImageSet:
    """The images of the run. Raises `RunMismatch` if they cannot be found or have changed."""
    if stored.spec is None:
        raise RunMismatch(
            f"the sweep of run {stored.run} was recorded by another version and names no images that this one can read: "
            "use that version"
        )
    images = load_images(stored.spec.data)
    if images.data_id != record.config.data_id:
        raise RunMismatch(
            f"run {stored.run} was trained on data {record.config.data_id}, but its sweep names data {images.data_id} now: "
            "images, labels or versions have changed; restore them, or run the sweep again"
        )
    return images


def place_as_trained(store: Store, config: TrialConfig, images: ImageSet) -> DeviceImages:
    """`images`, with the pseudo-labelled ones of the trial, on the device; torch is set as in a trial's own worker."""
    from trainables.data.pseudo_table import read_pseudo_table
    from trainables.hardware.device import open_device, slot_threads
    from trainables.training.device_images import add_pseudo_labelled, place_images

    placed = place_images(images.arrays, open_device(slot_threads()))
    if config.pseudo_table:
        extra = read_pseudo_table(store, images.data_id, config.pseudo_table)
        placed = add_pseudo_labelled(placed, extra.pixels, extra.labels)
    return placed


def parts_of(store: Store, checkpoint: CheckpointId) -> int:
    """The number of parts into which each batch was split in training."""
    return int(read_json_part(store, checkpoint, layout.TIMING).get("parts", 1))
