"""What one epoch of a trial takes on this machine, measured in a second or two, by the code that a slot runs."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.config.training import ScheduleConfig
from trainables.config.trial import BagConfig, TrialConfig
from trainables.data.images import ImageArrays, hash_labels
from trainables.errors import CaucusError
from trainables.store.folder import Folder

if TYPE_CHECKING:
    from trainables.training.device_images import DeviceImages

WHOLE_EPOCHS = 6
"""An epoch that fits so often into the time of a measurement is measured whole; a longer one is put together of steps."""

LEAST_WHOLE, MOST_WHOLE = 2, 10
"""So many whole epochs are measured, however long or short they turn out to be."""

TAME_RATE = 1e-3
"""The learning rate of a measurement: a step takes as long with any, but must not diverge."""

BATCHES = 8
"""At most so many batches of prediction stand for a long evaluation."""


class ProbeFailed(CaucusError, RuntimeError):
    """A trial cannot be timed, for a reason that would end it in a run as well."""


@dataclass(frozen=True)
class EpochTime:
    """What an epoch takes, in seconds of the wall clock."""

    train_s: float
    evaluate_s: float
    """Prediction on validation and test."""
    rest_s: float
    """What else keeps the slot: making the checkpoint's bytes, and waiting for the store to take the one before."""
    begin_s: float
    """Once a trial: building it, and what its first epoch takes longer than the others."""
    step_s: float
    """One step of training."""

    @property
    def epoch_s(self) -> float:
        """From one epoch of a trial to the next."""
        return self.train_s + self.evaluate_s + self.rest_s


class EpochTimer:
    """Times trials on the device, and with the threads, that a slot of `threads` cores has."""

    def __init__(self, images: ImageArrays, threads: int = 1) -> None:
        from trainables.hardware.device import open_device
        from trainables.training.device_images import place_images
        from trainables.training.training import prediction_batch

        device = open_device(threads)
        self._images = place_images(images, device)
        self._evaluation_batch = prediction_batch(device).images
        self._labels_sha256 = hash_labels(images)

    def time_epoch(self, config: TrialConfig, limit_s: float = 1.0) -> EpochTime:
        """What an epoch of `config` takes, from a measurement of about `limit_s`, and of four steps at the least.

        Short epochs are trained whole, by a `Trial` that commits them to a folder that is thrown away; of long ones
        some steps and some batches of prediction, multiplied. Raises `ProbeFailed` where the trial cannot be trained.
        """
        optimizer = config.optimizer.model_copy(update={"lr": TAME_RATE})
        # `plateau` would predict validation within the time of training, after two steps as after a whole epoch.
        config = config.model_copy(update={"optimizer": optimizer, "schedule": ScheduleConfig(), "parent": None})
        # Weights cost nothing, and may not be in a store yet.
        config = config.model_copy(update={"model": config.model.model_copy(update={"weights": ""})})
        # A later round of gradient boosting keeps its number of nets, fresh ones, which take as long as trained ones.
        config = config.model_copy(update={"boost": config.boost.model_copy(update={"former": None})})
        try:
            sketch = self._time_steps(config, limit_s / WHOLE_EPOCHS)
            if sketch.epoch_s * WHOLE_EPOCHS > limit_s:
                return self._time_steps(config, limit_s)
            return self._time_trial(config, limit_s, sketch.step_s)
        except CaucusError as error:
            raise ProbeFailed(f"an epoch cannot be timed: {error}") from None
        except Exception as error:
            raise ProbeFailed(f"an epoch cannot be timed: {type(error).__name__}: {error}") from None

    def _time_steps(self, config: TrialConfig, limit_s: float) -> EpochTime:
        """By steps: two to warm up, two to find out how many fit into `limit_s`, then those."""
        from trainables.training.device_images import choose_training_rows
        from trainables.training.training import Training

        rows = choose_training_rows(self._images, config.train_share, config.bag, config.data_id)
        # The few steps here are of a part of the images anyway.
        config = config.model_copy(update={"train_share": 1.0, "bag": BagConfig()})
        size = min(config.optimizer.batch_size, len(rows))
        steps = len(rows) // size
        start_s = time.perf_counter()
        training = Training(config, self._first("train", 2 * size))
        begin_s = time.perf_counter() - start_s
        training.train_epoch()
        step_s = _seconds_of(training.train_epoch) / min(2, steps)
        count = min(steps, int(limit_s / step_s))
        if count > 2:
            longer = Training(config, self._first("train", count * size))
            step_s = _seconds_of(longer.train_epoch) / count
        evaluate_s = self._evaluation_s(config, limit_s / 4)
        rest_s = _seconds_of(training.weights) + _seconds_of(training.optimizer_state)
        return EpochTime(steps * step_s, evaluate_s, rest_s, begin_s, step_s)

    def _time_trial(self, config: TrialConfig, limit_s: float, step_s: float) -> EpochTime:
        """By whole epochs: what the first takes longer than the others counts as its beginning."""
        from trainables.results.committer import Committer
        from trainables.training.trial import Trial

        took: list[float] = []
        inside: list[tuple[float, float]] = []
        with tempfile.TemporaryDirectory(prefix="caucus-probe-") as scratch:
            store = Folder(Path(scratch))
            committer = Committer(store)
            start_s = time.perf_counter()
            try:
                trial = Trial(config, self._images, self._labels_sha256, store, committer)
                begun_s = at_s = time.perf_counter()
                while len(took) <= LEAST_WHOLE or (len(took) <= MOST_WHOLE and at_s - start_s < limit_s):
                    step = trial.advance()
                    if step.result is None:
                        raise ProbeFailed(step.reason)
                    now_s = time.perf_counter()
                    took.append(now_s - at_s)
                    inside.append((step.result.train_s, step.result.evaluate_s))
                    at_s = now_s
            finally:
                committer.close()
        train_s, evaluate_s = (statistics.median(part) for part in zip(*inside[1:], strict=True))
        epoch_s = statistics.median(took[1:])
        begin_s = begun_s - start_s + max(0.0, took[0] - epoch_s)
        return EpochTime(train_s, evaluate_s, max(0.0, epoch_s - train_s - evaluate_s), begin_s, step_s)

    def _evaluation_s(self, config: TrialConfig, limit_s: float) -> float:
        """Prediction of validation and test, from one batch to warm up and as many more as fit into `limit_s`."""
        from trainables.training.training import Training

        rows = self._images.rows["validation"]
        size = min(len(rows), self._evaluation_batch)
        first = Training(config, self._first("validation", size))
        batch_s = _seconds_of(lambda: first.evaluate("validation"))
        batches = min(BATCHES, len(rows) // size, int(limit_s / batch_s))
        if batches:
            more = Training(config, self._first("validation", batches * size))
            batch_s = _seconds_of(lambda: more.evaluate("validation")) / batches
        return batch_s * (len(rows) + len(self._images.rows["test"])) / size

    def _first(self, split: str, images: int) -> DeviceImages:
        """The images, of which `split` has the first `images` alone."""
        return replace(self._images, rows={**self._images.rows, split: self._images.rows[split][:images]})


def _seconds_of(act: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    act()
    return time.perf_counter() - start_s
