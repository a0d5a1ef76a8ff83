"""Real trainings of tiny nets on digits with a fault planted in net or data, and healthy ones, for `caucus diagnose`.

Settings are drawn from ranges. Thresholds were tuned on draw 0, and are evaluated on draw 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ensembles.diagnosis.signs import Setting
from trainables.config.trial import TrialConfig
from trainables.data.images import ImageArrays
from trainables.errors import TrialDiverged
from trainables.results.record import EpochResult, TrialRecord
from trainables.training.device_images import place_images
from trainables.training.training import Training


@dataclass(frozen=True)
class Planted:
    """One training and what is wrong with it."""

    verdict: str
    name: str
    config: dict[str, Any]
    epochs: int = 12
    train_images: int = 0
    """0 for all."""
    wrong_labels: float = 0.0
    """Share of the training images whose label is drawn at random."""
    bias: float = 0.0
    """Added to the biases of convolutions before the training."""
    seed: int = 1
    expected: tuple[str, ...] = field(default=())
    """Verdicts that are right; left out, `verdict` alone."""


def digits(planted: Planted) -> ImageArrays:
    arrays = _digits()
    train = np.flatnonzero(arrays.splits == 0)
    draw = np.random.default_rng(planted.seed)
    labels, splits = arrays.labels.copy(), arrays.splits.copy()
    wrong = draw.permutation(train)[: round(planted.wrong_labels * len(train))]
    labels[wrong] = draw.integers(0, 10, len(wrong))
    if planted.train_images:
        left_out = draw.permutation(train)[planted.train_images :]
        keep = np.setdiff1d(np.arange(len(labels)), left_out)
        return ImageArrays(arrays.pixels[keep], labels[keep], splits[keep], arrays.classes)
    return ImageArrays(arrays.pixels, labels, splits, arrays.classes)


_CACHE: list[ImageArrays] = []


def _digits() -> ImageArrays:
    if not _CACHE:
        from trainables.config.data import DataConfig
        from trainables.datasets.load import load_images

        _CACHE.append(load_images(DataConfig(name="digits", validation=0.25, test=0.25)).arrays)
    return _CACHE[0]


def train(planted: Planted) -> tuple[TrialRecord, Setting]:
    """The record that a run would have of it."""
    arrays = digits(planted)
    images = place_images(arrays, torch.device("cpu"))
    config = TrialConfig(data_id="d", seed=planted.seed, **planted.config)
    training = Training(config, images)
    if planted.bias:
        with torch.no_grad():
            for module in training._net.modules():
                if isinstance(module, nn.Conv2d | nn.BatchNorm2d) and module.bias is not None:
                    module.bias += planted.bias
    setting = Setting(
        classes=arrays.classes,
        train_images=len(images.rows["train"]),
        validation_images=len(images.rows["validation"]),
    )
    results: list[EpochResult] = []
    try:
        for epoch in range(1, planted.epochs + 1):
            loss, accuracy = training.train_epoch()
            validation = training.evaluate("validation")
            seen = training.statistics.scalars() if training.statistics else {}
            results.append(EpochResult(epoch, loss, accuracy, validation.loss, validation.accuracy, 0.1, 0.0, **seen))
    except TrialDiverged as error:
        return TrialRecord(config, "diverged", str(error), tuple(results)), setting
    return TrialRecord(config, "finished", "", tuple(results)), setting


def train_shares(planted: Planted) -> tuple[list[TrialRecord], Setting]:
    """Three records, on 25, 50 and 100 % of the training images."""
    trained = [train(replace(planted, config={**planted.config, "train_share": share})) for share in (0.25, 0.5, 1.0)]
    return [record for record, _ in trained], trained[-1][1]


def config(**parts: Any) -> dict[str, Any]:
    """A configuration from `model_width=8` and the like."""
    sections: dict[str, Any] = {}
    for key, value in parts.items():
        section, _, name = key.partition("_")
        sections.setdefault(section, {})[name] = value
    return {"precision": "float32", **sections}


def planted(draw: int, each: int = 5) -> Iterator[Planted]:
    """`each` trainings of each kind of fault, with settings drawn from the ranges of that kind."""
    for kind in FAULTS:
        generator = np.random.default_rng([draw, FAULTS.index(kind)])
        for number in range(each):
            yield replace(kind(generator, number), seed=1000 * draw + number)


def healthy(draw: int, count: int = 40) -> Iterator[Planted]:
    """Trainings with settings as a person would choose them."""
    generator = np.random.default_rng([draw, 99])
    for number in range(count):
        yield replace(_healthy(generator, number), seed=1000 * draw + 500 + number)


def starved(draw: int, count: int = 5) -> Iterator[Planted]:
    """For `train_shares`: so few images that twice as many would clearly help."""
    generator = np.random.default_rng([draw, 98])
    for number in range(count):
        images, rate = int(generator.integers(100, 300)), log_uniform(generator, 0.02, 0.06)
        net = config(model_width=16, optimizer_lr=rate, optimizer_batch_size=16)
        yield Planted("little-data", f"{images} images", net, 25, train_images=images, seed=1000 * draw + 800 + number)


def sated(draw: int, count: int = 5) -> Iterator[Planted]:
    """For `train_shares`: all images, where twice as many would bring less than can be measured."""
    generator = np.random.default_rng([draw, 97])
    for number in range(count):
        net = config(model_width=16, optimizer_lr=log_uniform(generator, 0.02, 0.06), optimizer_batch_size=32)
        yield Planted("healthy", "all images", net, 15, seed=1000 * draw + 900 + number)


Generator = np.random.Generator


def log_uniform(generator: Generator, low: float, high: float) -> float:
    return float(f"{np.exp(generator.uniform(np.log(low), np.log(high))):.3g}")


def _overfits(generator: Generator, number: int) -> Planted:
    width, rate = int(generator.choice([16, 24, 32])), log_uniform(generator, 0.01, 0.05)
    net = config(model_width=width, model_dense=1, optimizer_lr=rate, optimizer_batch_size=32)
    if number % 2:
        wrong = float(generator.uniform(0.2, 0.5))
        return Planted("overfits", f"{wrong:.0%} wrong labels", net, 25, train_images=600, wrong_labels=wrong)
    images = int(generator.integers(50, 110))
    return Planted("overfits", f"{images} images", net, 30, train_images=images)


def _underfits(generator: Generator, number: int) -> Planted:
    either = ("underfits", "dead-units")  # of a single unit, dead is small as well
    if number % 2:
        decay = log_uniform(generator, 0.15, 0.5)
        net = config(model_width=8, model_batch_norm=False, optimizer_lr=0.05, optimizer_weight_decay=decay)
        return Planted("underfits", f"weight decay {decay}", net, 12, expected=either)
    width, dropout = int(generator.integers(1, 3)), float(generator.uniform(0, 0.2))
    net = config(model_width=width, model_blocks=1, model_head="average", model_dropout=dropout, optimizer_lr=0.05)
    return Planted("underfits", f"width {width}, dropout {dropout:.2f}", net, 40, expected=either)


def _dead(generator: Generator, number: int) -> Planted:
    normed, bias = bool(number % 2), -log_uniform(generator, 3, 12)
    net = config(model_width=16, model_batch_norm=normed, optimizer_lr=log_uniform(generator, 0.003, 0.02))
    return Planted("dead-units", f"bias {bias}{' after batch norm' if normed else ''}", net, 8, bias=bias)


def _diverges(generator: Generator, number: int) -> Planted:
    rate = log_uniform(generator, 15, 95)
    return Planted(
        "rate-too-high", f"rate {rate}", config(model_width=16, model_batch_norm=False, optimizer_lr=rate), 6
    )


def _oscillates(generator: Generator, number: int) -> Planted:
    either = ("rate-too-high", "dead-units")  # such a rate kills units
    if number % 2:
        momentum, rate = float(generator.choice([0.99, 0.995])), log_uniform(generator, 0.25, 0.7)
        net = config(model_width=8, optimizer_lr=rate, optimizer_momentum=momentum)
        return Planted("rate-too-high", f"rate {rate}, momentum {momentum}", net, 12, expected=either)
    rate = log_uniform(generator, 1.5, 8)
    return Planted("rate-too-high", f"rate {rate}", config(model_width=8, optimizer_lr=rate), 12, expected=either)


def _crawls(generator: Generator, number: int) -> Planted:
    name = "adamw" if number % 2 else "sgd"
    rate = log_uniform(generator, 1e-6, 8e-6 if number % 2 else 1.5e-5)
    net = config(model_width=16, optimizer_name=name, optimizer_lr=rate)
    return Planted("rate-too-low", f"{name} at {rate}", net, 12)


def _slow(generator: Generator, number: int) -> Planted:
    blocks = int(generator.integers(2, 4))
    rate = log_uniform(generator, 0.001, 0.002) * (blocks - 1)
    net = config(model_width=8, model_blocks=blocks, model_convs=2, model_batch_norm=False, optimizer_lr=rate)
    return Planted("slow", f"{blocks} deep blocks without batch norm at {rate:.3g}", net, 12)


def _noisy(generator: Generator, number: int) -> Planted:
    size, rate = int(generator.integers(2, 5)), log_uniform(generator, 0.01, 0.03)
    net = config(model_width=8, optimizer_batch_size=size, optimizer_lr=rate)
    return Planted("noisy", f"batches of {size} at {rate}", net, 6)


FAULTS: tuple[Callable[[Generator, int], Planted], ...] = (
    _overfits,
    _underfits,
    _dead,
    _diverges,
    _oscillates,
    _crawls,
    _slow,
    _noisy,
)


def _healthy(generator: Generator, number: int) -> Planted:
    width, dropout = int(generator.choice([8, 12, 16, 24, 32])), float(generator.uniform(0, 0.3))
    keys: dict[str, Any] = {"model_width": width, "model_dropout": dropout}
    if number % 4 == 0:
        keys |= {"optimizer_name": "adamw", "optimizer_lr": log_uniform(generator, 0.001, 0.005)}
    else:
        keys |= {"optimizer_lr": log_uniform(generator, 0.01, 0.08)}
    if number % 4 == 1:
        keys |= {"schedule_name": str(generator.choice(["cosine", "one-cycle"])), "schedule_epochs": 15}
    keys["optimizer_batch_size"] = int(generator.choice([32, 64]))
    return Planted("healthy", f"{keys}", config(**keys), 15)
