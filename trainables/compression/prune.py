"""Prunes a checkpoint to one sparsity, fine-tunes it for some epochs, and evaluates it before and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from trainables.compression.prune_channels import check_channels, remove_channels
from trainables.compression.prune_magnitude import freeze_zeros, prune_magnitude
from trainables.compression.pruned_size import measure_size
from trainables.config.training import AverageConfig, ScheduleConfig
from trainables.config.trial import TrialConfig
from trainables.models.load import load_net
from trainables.results.predictions import Predictions, to_arrow
from trainables.results.pruned_checkpoint import PrunedId, PruneMethod
from trainables.store import layout
from trainables.store.json_records import to_json
from trainables.training.device_images import DeviceImages
from trainables.training.training import Training

RATE_SHARE = 0.1
"""Fine-tuning has a constant rate of this share of the trial's peak learning rate. Han et al. (2015) take a tenth to a
hundredth; the last rate of a schedule would be zero for those that fall to zero."""


@dataclass(frozen=True, eq=False)
class PruningTask:
    """The inputs that all sparsities of a curve share.

    weights         weights of the checkpoint, a safetensors file
    labels_sha256   hash of the labels of each split, for the predictions
    parts           number of parts of a batch, as in the training of the trial
    """

    config: TrialConfig
    weights: bytes
    images: DeviceImages
    labels_sha256: dict[str, str]
    parts: int = 1


def prune_checkpoint(task: PruningTask, pruned_id: PrunedId) -> dict[str, bytes]:
    """The parts of the pruned checkpoint `pruned_id`: weights, predictions on validation and test, metrics.

    The same task gives the same bits on the same machine: the epochs of fine-tuning have the draws of the trial's next epochs,
    at every sparsity. Metrics contain figures of validation alone. Raises `TrialDiverged`, `CheckpointMismatch` where the
    weights are of another model, `ModelUnusable` where its channels cannot be pruned.
    """
    whole = load_net(task.config, task.images.shape, task.weights).to(task.images.pixels.device)
    net = prune_net(whole, task.config, pruned_id.method, pruned_id.sparsity)
    training = Training(fine_tuning_config(task.config), task.images, task.parts, net=net)
    freeze_zeros(net)
    training.epoch = pruned_id.epoch
    before = training.evaluate("validation")
    for _ in range(pruned_id.epochs):
        training.train_epoch()
    after = training.evaluate("validation")
    evaluations = {"validation": after, "test": training.evaluate("test")}
    file = training.weights()
    size = measure_size(net, task.images.shape, file)
    measured: dict[str, Any] = {
        "before_accuracy": before.accuracy,
        "accuracy": after.accuracy,
        "loss": after.loss,
        **asdict(size),
    }
    parts = {layout.WEIGHTS: file, layout.METRICS: to_json(measured)}
    for split, evaluation in evaluations.items():
        rows = task.images.rows[split].cpu().numpy().astype("int32")
        found = Predictions(task.config.data_id, split, task.labels_sha256[split], rows, evaluation.probabilities)
        parts[layout.predictions_part(split)] = to_arrow(found)
    return parts


def prune_net(net: nn.Module, config: TrialConfig, method: PruneMethod, sparsity: float) -> nn.Module:
    """`net` itself with weights set to zero, or a smaller net; unchanged at a sparsity of 0."""
    if method == "channel":
        check_channels(config.model, config.boost.round)
        return remove_channels(net, sparsity) if sparsity else net
    prune_magnitude(net, sparsity)
    return net


def fine_tuning_config(config: TrialConfig) -> TrialConfig:
    """The trial's configuration with a low, constant rate and without averaging: the pruned net itself is trained."""
    slow = config.optimizer.model_copy(update={"lr": config.optimizer.lr * RATE_SHARE})
    return config.model_copy(update={"optimizer": slow, "schedule": ScheduleConfig(), "average": AverageConfig()})
