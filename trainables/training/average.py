"""Averages of the weights: the averaged net predicts and votes, the net itself is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainables.config.training import AverageConfig
from trainables.models.boosted import trained_part
from trainables.training.memory import PredictionBatch

RAW = "raw/"
"""Prefix of the names of the weights in training, where an average has taken their place."""

STATISTICS_IMAGES = 4096
"""Largest number of training images, without augmentation and dropout, from which the batch-norm statistics of `swa` are computed
after an epoch. A forward pass costs 16 % of a training step on a CPU (digits, 1,257 images, so all of them): 1.2 % of an epoch of
54,000 images."""


class Average:
    """An average of the weights of `net`, once it has started.

    `ema` moves after each step by a share of 1 - `decay` towards the weights; at first by more, with (1 + steps) / (10 +
    steps) in place of `decay` while that is lower, so that the initial random weights soon lose their influence
    (as in TensorFlow's ExponentialMovingAverage with `num_updates`). Batch-norm statistics are averaged with the
    weights: they are running means of the activations of just those weights, so they lag by as much as the weights do, and
    no forward pass is needed. `swa` is the plain mean of the weights at the end of each epoch (Izmailov et al. 2018);
    weights of distant epochs have activations of another scale than their mean has, so its statistics are computed again.
    """

    def __init__(self, config: AverageConfig, net: nn.Module) -> None:
        self._config = config
        self._net = net
        self._count = 0
        self._tensors: dict[str, Tensor] = {}
        self._weights: list[Tensor] = []
        self._averaged: list[Tensor] = []
        self.follows_steps = False
        """Whether `after_step` must be called after each step of the epoch."""

    @property
    def begun(self) -> bool:
        """Whether there is an average; without one the net itself predicts."""
        return bool(self._tensors)

    @property
    def wants_statistics(self) -> bool:
        """Whether `measure_statistics` must be called after `close_epoch`: for `swa` of a net with batch norm."""
        return self._config.name == "swa" and self.begun and bool(_batch_norms(self._net))

    def open_epoch(self, epoch: int) -> None:
        """Prepare for the training of `epoch` (counted from 1)."""
        self.follows_steps = self._config.name == "ema" and epoch > self._config.start
        if self.follows_steps and not self.begun:
            self._begin()

    @torch.no_grad()
    def after_step(self) -> None:
        """Update `ema` after a step."""
        self._count += 1
        decay = min(self._config.decay, (1 + self._count) / (10 + self._count))
        torch._foreach_lerp_(self._averaged, self._weights, 1 - decay)

    @torch.no_grad()
    def close_epoch(self, epoch: int) -> None:
        """Add the weights at the end of `epoch` to `swa`. Counts (of batch norm) are copied from the net."""
        if self._config.name == "swa" and epoch > self._config.start:
            if not self.begun:
                self._begin()
            self._count += 1
            torch._foreach_lerp_(self._averaged, self._weights, 1 / self._count)
        if self.begun:
            for name, value in self._net.state_dict().items():
                if not value.is_floating_point():
                    self._tensors[name].copy_(value)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Within the `with` block the net has the averaged weights, if there are any. Storage is swapped, not copied."""
        self._change_places()
        try:
            yield
        finally:
            self._change_places()

    def measure_statistics(
        self, rows: Tensor, seed: int, prediction_batch: PredictionBatch, predict: Callable[[Tensor], Tensor]
    ) -> None:
        """Compute the batch-norm statistics of the averaged net; see the function `measure_statistics`."""
        with self.shown():
            measure_statistics(self._net, rows, seed, prediction_batch, predict)

    def state(self) -> dict[str, Tensor]:
        """The state for a checkpoint, besides the averaged weights; empty where there is no average yet.

        `raw/<name>` are the weights and statistics in training, `average/<ema or swa>` is the number of averaged weights.
        """
        if not self.begun:
            return {}
        raw = {RAW + name: value.detach().contiguous() for name, value in self._net.state_dict().items()}
        return {**raw, f"average/{self._config.name}": torch.tensor(self._count)}

    def restore(self, averaged: Mapping[str, Tensor], state: Mapping[str, Tensor], epoch: int) -> None:
        """Continue from the checkpoint of `epoch`. Where it has another kind of average, or none, the average starts again."""
        count = state.get(f"average/{self._config.name}")
        self._tensors, self._count = {}, 0
        if count is not None and epoch > self._config.start:
            self._begin()
            for name, value in averaged.items():
                self._tensors[name].copy_(value)
            self._count = int(count)

    def _begin(self) -> None:
        tensors = self._net.state_dict()
        self._tensors = {name: value.detach().clone() for name, value in tensors.items()}
        self._count = 0
        named = [name for name, value in tensors.items() if value.is_floating_point()]
        self._weights = [tensors[name] for name in named]
        self._averaged = [self._tensors[name] for name in named]

    def _change_places(self) -> None:
        if not self.begun:
            return
        for name, value in [*self._net.named_parameters(), *self._net.named_buffers()]:
            if name in self._tensors:
                value.data, self._tensors[name].data = self._tensors[name].data, value.data


def measure_statistics(
    net: nn.Module, rows: Tensor, seed: int, prediction_batch: PredictionBatch, predict: Callable[[Tensor], Tensor]
) -> None:
    """Compute batch-norm statistics of the activations of `net`, on images of `rows` that `seed` selects; `predict` takes rows."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:STATISTICS_IMAGES]
    sample = rows[order.to(rows.device)]

    def measure(size: int) -> None:
        size = min(size, len(sample))
        with _measuring(net), torch.no_grad():
            for batch in torch.split(sample[: len(sample) // size * size], size):
                predict(batch)

    prediction_batch.fit(measure)


@contextlib.contextmanager
def _measuring(net: nn.Module) -> Iterator[None]:
    """Within the `with` block batch norm collects new statistics from all forward passes: the mean over batches."""
    norms = _batch_norms(net)
    momenta = [norm.momentum for norm in norms]
    net.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # by which torch computes a plain mean
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def split_state(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Split the tensors of `optimizer.safetensors` into those of the optimizer, the weights in training, and all others."""
    raw = {key.removeprefix(RAW): value for key, value in tensors.items() if key.startswith(RAW)}
    rest = {key: value for key, value in tensors.items() if key.startswith(("average/", "schedule/"))}
    optimizer = {key: value for key, value in tensors.items() if not key.startswith(RAW) and key not in rest}
    return optimizer, raw, rest


def _batch_norms(net: nn.Module) -> list[_BatchNorm]:
    modules = trained_part(net).modules()  # norms of frozen nets keep their statistics
    return [layer for layer in modules if isinstance(layer, _BatchNorm) and layer.track_running_stats]
