"""Measures what augmentation costs a training step on one CPU core, side by side.

    python -m benchmarks.augment

Nets of sweeps/fashion_mnist.yaml (the cheapest ones, two blocks of 16 channels and more: there augmentation weighs most) on
random images of that set's size, batch 64. One trial in memory takes its steps in turns with and without augmentation:
two trials differ by some hundredths though they do the same. What is left of that, `control` shows: both turns
without. The figure is the median over rounds of the ratio of a round's two times, less 1, for the net that it is worst of. The
share of each key is what `Augment` itself takes of a plain step, as the best of its rounds over that of the plain ones.
Times are those of the processor: with one thread they are the clock's, less what other processes took.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from typing import Any

import numpy as np
import torch

from benchmarks.figures import at_most, write
from trainables.augment.pipeline import Augment
from trainables.config.augment import AugmentConfig
from trainables.config.model import ModelConfig
from trainables.config.trial import TrialConfig
from trainables.data.images import ImageArrays
from trainables.training.device_images import DeviceImages, place_images
from trainables.training.training import Training

GOAL = 0.10

USUAL: dict[str, Any] = {"flip": 0.5, "crop": 2, "rotation": 10.0, "erasing": 0.5}

KEYS: dict[str, Any] = {
    "flip": 0.5,
    "rotation": 10.0,
    "shear": 10.0,
    "shift": 0.1,
    "scale": 0.1,
    "crop": 2,
    "exposure": 0.3,
    "contrast": 0.3,
    "noise": 0.05,
    "erasing": 0.5,
    "mixup": 0.2,
    "cutmix": 1.0,
    "strength": 0.5,
}
"""Each key alone, at a usual value; those of colour are measured on images with three channels."""

COLOUR: dict[str, Any] = {"hue": 0.1, "saturation": 0.3}

STEPS = 16
"""Steps in a round."""


def make_images(channels: int) -> DeviceImages:
    """Random images of 28 x 28: the time does not depend on the pixels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64 * STEPS, 28, 28, channels), dtype=np.uint8)
    labels = rng.integers(0, 10, len(pixels))
    arrays = ImageArrays(pixels=pixels, labels=labels, splits=np.zeros(len(pixels), np.int8), classes=10)
    return place_images(arrays, torch.device("cpu"))


def make_training(images: DeviceImages, augment: dict[str, Any], width: int, blocks: int) -> Training:
    """A trial of the demo net. The same seed, so the same weights and the same order."""
    config = TrialConfig(
        data_id="bench",
        seed=0,
        model=ModelConfig(width=width, blocks=blocks),
        augment=AugmentConfig.model_validate(augment),
    )
    return Training(config, images)


def compare(images: DeviceImages, augment: dict[str, Any], rounds: int, width: int, blocks: int) -> dict[str, float]:
    """Cost of a step with and without augmentation: extra share of the time, its quartiles, and milliseconds of a plain step."""
    training = make_training(images, {}, width, blocks)
    ways = (training._augment, make_training(images, augment, width, blocks)._augment)
    ratios, plain = [], []
    for number in range(rounds + 2):
        batches = training.open_epoch(number + 1)
        ways[1].begin(number)
        times: tuple[list[float], list[float]] = ([], [])
        for step, batch in enumerate(batches):
            which = (step + step // 2 + number) % 2  # plain, augmented, augmented, plain, ...
            training._augment = ways[which]
            begin_s = time.process_time()
            training.train_batch(batch, 0.01)
            times[which].append(time.process_time() - begin_s)
        training._augment = ways[0]
        if number >= 2:  # the first ones warm up
            ratios.append(sum(times[1]) / sum(times[0]) - 1)
            plain += times[0]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {"share": middle, "low": low, "high": high, "plain_step_ms": 1000 * statistics.median(plain)}


def augment_ms(images: DeviceImages, augment: dict[str, Any], rounds: int) -> float:
    """Milliseconds of `Augment` alone on a batch of 64, the best round."""
    operations = Augment(AugmentConfig.model_validate(augment), images.shape, torch.device("cpu"))
    batch = images.pixels[:64].to(torch.float32).div_(255).permute(0, 3, 1, 2)
    labels = images.labels[:64]
    times = []
    for number in range(rounds):
        operations.begin(number)
        begin_s = time.process_time()
        for _ in range(STEPS):
            varied = operations.vary(batch) if operations.varies else batch
            if operations.mixes:
                operations.mix(varied, labels)
        times.append(time.process_time() - begin_s)
    return 1000 * min(times) / STEPS


def measure(rounds: int) -> dict[str, Any]:
    """The figure for the usual set, and a table of keys."""
    torch.set_num_threads(1)  # as a slot of one core has it
    grey, coloured = make_images(1), make_images(3)
    usual = {
        f"{blocks}x{width}": compare(grey, USUAL, rounds, width, blocks)
        for blocks, width in itertools.product((2, 3), (16, 24))
    }
    control = compare(grey, {}, rounds, 16, 2)
    worst = max(usual, key=lambda name: usual[name]["share"])
    plain_ms = {
        channels: compare(images, {}, 4, 16, 2)["plain_step_ms"] for channels, images in ((1, grey), (3, coloured))
    }
    keys = {key: augment_ms(grey, {key: value}, rounds) / plain_ms[1] for key, value in KEYS.items()}
    keys |= {key: augment_ms(coloured, {key: value}, rounds) / plain_ms[3] for key, value in COLOUR.items()}
    return {
        "augment/share_of_step": at_most(usual[worst]["share"], "share", GOAL)
        | {
            "set": USUAL,
            "net": worst,
            "nets": {name: {key: round(value, 4) for key, value in figures.items()} for name, figures in usual.items()},
            "keys": {key: round(share, 4) for key, share in keys.items()},
            "control": {key: round(value, 4) for key, value in control.items()},
            "augment_ms": round(augment_ms(grey, USUAL, rounds), 4),
            "precision": make_training(grey, {}, 16, 2).precision,
        }
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    found = measure(parser.parse_args().rounds)
    print(json.dumps(found))
    write(found)


if __name__ == "__main__":
    main()
