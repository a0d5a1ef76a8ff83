"""Measures what monitoring a net costs: the share of an epoch's time, against the same trial without a monitor.

    python -m benchmarks.monitor_cost            a minute on one core

Both trials train the same epochs in turn, each first every other time, on one thread; the figure is the median over pairs
of epochs. The time is processor time: wall time would include other work of the machine. Their weights must be bit-identical
at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.figures import at_most, write
from trainables.config.data import DataConfig
from trainables.config.model import ModelConfig
from trainables.config.training import OptimizerConfig
from trainables.config.trial import TrialConfig
from trainables.data.images import ImageArrays
from trainables.datasets.load import load_images
from trainables.results.layer_statistics import EpochStatistics
from trainables.training.device_images import DeviceImages, place_images
from trainables.training.monitor import TrainingMonitor
from trainables.training.training import Training

GOAL = 0.03
FASHION_TRAIN, DIGITS_PAIRS, FASHION_PAIRS = 6_000, 81, 11


class Blind(TrainingMonitor):
    """A monitor that records nothing."""

    def should_monitor(self, step: int, steps: int) -> bool:
        return False

    def take_loss(self, loss: Tensor) -> None:
        pass

    @contextlib.contextmanager
    def recording_activations(self) -> Iterator[None]:
        yield

    def close(self, logits: Tensor, labels: Tensor, rate: float) -> EpochStatistics:
        raise AssertionError("nothing is monitored")


class BlindTraining(Training):
    """The same training without a monitor."""

    def __init__(self, config: TrialConfig, images: DeviceImages) -> None:
        super().__init__(config, images)
        self._monitor = Blind(self._net)

    def _close_epoch(self, rate: float) -> None:  # type: ignore[override]
        return None


def fashion_sized(train: int, seed: int = 0) -> ImageArrays:
    """Noise of the size of Fashion-MNIST: the time of an epoch does not depend on the pixels."""
    rng = np.random.default_rng(seed)
    count = train + 200
    splits = np.repeat(np.array([0, 1, 2], np.int8), [train, 100, 100])
    pixels = rng.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
    return ImageArrays(pixels, rng.integers(0, 10, count), splits, 10)


def share_of_monitoring(config: TrialConfig, arrays: ImageArrays, pairs: int) -> tuple[float, float]:
    """Median over pairs of epochs of the time added by the monitor relative to the time without it, and that time in seconds."""
    images = place_images(arrays, torch.device("cpu"))
    seeing, blind = Training(config, images), BlindTraining(config, images)
    shares, alone_s = [], []
    for pair in range(pairs + 1):
        took = {}
        for training in (seeing, blind) if pair % 2 else (blind, seeing):
            start_s = time.process_time()
            training.train_epoch()
            training.evaluate("validation")
            training.evaluate("test")
            took[training] = time.process_time() - start_s
        if pair:  # the first epochs warm up
            shares.append(took[seeing] / took[blind] - 1)
            alone_s.append(took[blind])
    if seeing.weights() != blind.weights():
        raise AssertionError("monitoring has changed the weights")
    return statistics.median(shares), statistics.median(alone_s)


def measure() -> dict[str, Any]:
    """The figures of both image sets."""
    torch.set_num_threads(1)
    digits = load_images(DataConfig.model_validate({"name": "digits", "validation": 0.25, "test": 0.25}))
    cases = {
        "digits": (digits.arrays, ModelConfig(), 32, DIGITS_PAIRS),
        "fashion": (fashion_sized(FASHION_TRAIN), ModelConfig(blocks=3, width=24), 64, FASHION_PAIRS),
    }
    figures = {}
    for name, (arrays, model, size, pairs) in cases.items():
        optimizer = OptimizerConfig(lr=0.01, batch_size=size)
        config = TrialConfig(data_id=name, seed=1, model=model, optimizer=optimizer)
        share, epoch_s = share_of_monitoring(config, arrays, pairs)
        figures[f"watch/{name}_share_of_epoch"] = at_most(share, "share", GOAL) | {"epoch_s": round(epoch_s, 4)}
    return figures


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    write(measure())


if __name__ == "__main__":
    main()
