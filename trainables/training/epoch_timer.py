"""Measures the duration of an epoch of a trial on this machine, in a second or two, with the code that a slot runs."""

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
"""An epoch that fits into the time of a measurement this many times is measured as a whole; a longer one is extrapolated from
steps."""

LEAST_WHOLE, MOST_WHOLE = 2, 10
"""Limits of the number of whole epochs that are measured."""

TAME_RATE = 1e-3
"""The learning rate of a measurement: the duration of a step does not depend on it, but the loss must not diverge."""

BATCHES = 8
"""Largest number of measured prediction batches from which a long evaluation is extrapolated."""


class ProbeFailed(CaucusError, RuntimeError):
    """A trial cannot be timed, for a reason that would end it in a run, too."""


@dataclass(frozen=True)
class EpochTime:
    """The duration of an epoch, in seconds of the wall clock."""

    train_s: float
    evaluate_s: float
    """Prediction on validation and test."""
    rest_s: float
    """Other time of the slot: serialising the checkpoint, and waiting for the upload of the previous one."""
    begin_s: float
    """Once for each trial: building it, and the additional time of its first epoch."""
    step_s: float
    """One step of training."""

    @property
    def epoch_s(self) -> float:
        """Total time of an epoch, after the first."""
        return self.train_s + self.evaluate_s + self.rest_s


class EpochTimer:
    """Measures trials on the device of a slot, with `threads` threads."""

    def __init__(self, images: ImageArrays, threads: int = 1) -> None:
        from trainables.hardware.device import open_device
        from trainables.training.device_images import place_images
        from trainables.training.training import prediction_batch

        device = open_device(threads)
        self._images = place_images(images, device)
        self._evaluation_batch = prediction_batch(device).images
        self._labels_sha256 = hash_labels(images)

    def time_epoch(self, config: TrialConfig, limit_s: float = 1.0) -> EpochTime:
        """The duration of an epoch of `config`, from a measurement of about `limit_s`, and of at least four steps.

        Short epochs are trained as a whole, by a `Trial` that commits them to a temporary folder; long ones are extrapolated from
        some steps and some batches of prediction. Raises `ProbeFailed` where the trial cannot be trained.
        """
        optimizer = config.optimizer.model_copy(update={"lr": TAME_RATE})
        # `plateau` would evaluate validation within the training time, after two steps just as after a whole epoch.
        config = config.model_copy(update={"optimizer": optimizer, "schedule": ScheduleConfig(), "parent": None})
        # Initial weights take no time, and may not be in the store yet.
        config = config.model_copy(update={"model": config.model.model_copy(update={"weights": ""})})
        # A later round of gradient boosting keeps its number of nets. Untrained nets take as long as trained ones.
        config = config.model_copy(update={"boost": config.boost.model_copy(update={"former": None})})
        # Pixels are equalised once a worker, which is no part of an epoch.
        config = config.model_copy(update={"data": config.data.model_copy(update={"equalise": "none"})})
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
        """Extrapolate from steps: two to warm up, two to find out how many fit into `limit_s`, then those."""
        from trainables.training.device_images import choose_training_rows
        from trainables.training.training import Training

        rows = choose_training_rows(self._images, config.train_share, config.bag, config.data_id)
        # The few steps here use only a part of the images anyway.
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
        """Measure whole epochs: the additional time of the first one counts as `begin_s`."""
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
        """Seconds of prediction on validation and test, from one batch to warm up and as many more as fit into `limit_s`."""
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
        """The image set with only the first `images` images in `split`."""
        return replace(self._images, rows={**self._images.rows, split: self._images.rows[split][:images]})


def _seconds_of(act: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    act()
    return time.perf_counter() - start_s
