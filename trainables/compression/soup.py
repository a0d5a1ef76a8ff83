"""Soups: several checkpoints of one trajectory as one net, the mean of their weights, with batch-norm statistics computed again.

Wortsman et al. (2022) average nets that were fine-tuned from the same weights. Epochs of one trial, and of trials that
start from the same checkpoint, lie in one basin as well; other nets do not, and their mean does not predict anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from trainables.config.seed import derive_seed
from trainables.config.training import AverageConfig, ScheduleConfig
from trainables.config.trial import TrialConfig
from trainables.errors import CheckpointMismatch
from trainables.models.load import load_net
from trainables.results.checkpoint import CheckpointId
from trainables.results.predictions import Predictions, to_arrow
from trainables.results.soup_id import SoupId
from trainables.store import layout
from trainables.store.json_records import to_json
from trainables.training.device_images import DeviceImages
from trainables.training.training import Evaluation, Training

Score = Callable[[Evaluation], float]
"""The score of an evaluation on validation; higher is better."""


@dataclass(frozen=True, eq=False)
class Ingredient:
    """A checkpoint that may go into a soup, with the configuration of its trial and its `weights`, a safetensors file."""

    checkpoint: CheckpointId
    config: TrialConfig
    weights: bytes


@dataclass(frozen=True, eq=False)
class SoupTask:
    """The inputs that all soups of a trial share.

    labels_sha256   hash of the labels of each split, for the predictions
    parts           number of parts of a batch, as in the training of the trial
    """

    config: TrialConfig
    images: DeviceImages
    labels_sha256: dict[str, str]
    parts: int = 1


@dataclass(frozen=True, eq=False)
class Soup:
    """A soup, ready to be stored: its parts by file name, and its ingredients in the order in which they were added."""

    ingredients: tuple[CheckpointId, ...]
    parts: dict[str, bytes]


def make_soup(task: SoupTask, soup_id: SoupId, ordered: Sequence[Ingredient], score: Score) -> Soup:
    """The soup `soup_id` of the candidates `ordered`, the best on validation first.

    `uniform` takes all candidates. `greedy` starts with the first, tries the others in their order, and adds each one with
    which `score` on validation is not lower than before. A soup of one checkpoint keeps the checkpoint's statistics, so greedy
    is never worse on validation than the first candidate alone. The same task gives the same bits on the same machine.

    Metrics contain figures of validation alone. Raises `CheckpointMismatch` where the candidates do not belong together.
    """
    check_ingredients(ordered)
    seed = derive_seed(task.config.seed, "soup", soup_id.digest)
    taken = list(ordered if soup_id.kind == "uniform" else ordered[:1])
    soup, found = _evaluate_mean(task, taken, seed)
    if soup_id.kind == "greedy":
        highest = score(found)
        for candidate in ordered[1:]:
            more, evaluated = _evaluate_mean(task, [*taken, candidate], seed)
            reached = score(evaluated)
            if reached >= highest:
                taken, soup, found, highest = [*taken, candidate], more, evaluated, reached
    names = tuple(each.checkpoint for each in taken)
    measured = {
        "kind": soup_id.kind,
        "ingredients": [str(name) for name in names],
        "tried": [str(each.checkpoint) for each in ordered],
        "validation_accuracy": found.accuracy,
        "validation_loss": found.loss,
    }
    parts = {layout.WEIGHTS: soup.weights(), layout.METRICS: to_json(measured)}
    for split, evaluation in (("validation", found), ("test", soup.evaluate("test"))):
        rows = task.images.rows[split].cpu().numpy().astype("int32")
        predictions = Predictions(task.config.data_id, split, task.labels_sha256[split], rows, evaluation.probabilities)
        parts[layout.predictions_part(split)] = to_arrow(predictions)
    return Soup(names, parts)


def check_ingredients(ingredients: Sequence[Ingredient]) -> None:
    """Raise `CheckpointMismatch` unless all have the same architecture and data, and belong to one trial or share a parent."""
    first = ingredients[0]
    for other in ingredients[1:]:
        pair = f"{first.checkpoint} and {other.checkpoint}"
        ours, theirs = (each.config.model.model_dump(exclude={"weights"}) for each in (first, other))
        if ours != theirs:
            keys = ", ".join(f"model.{key}" for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
            raise CheckpointMismatch(f"{pair} are of different architectures ({keys}): their mean is no net")
        if first.config.data_id != other.config.data_id:
            raise CheckpointMismatch(f"{pair} were trained on different data or another split")
        if first.config.data != other.config.data:
            raise CheckpointMismatch(
                f"{pair} see other pixels (data.equalise or data.normalise differs): the mean of their weights is no net"
            )
    if not reduce(frozenset.intersection, (_kin(each.config) for each in ingredients)):
        names = ", ".join(sorted({each.checkpoint.trial_id for each in ingredients}))
        raise CheckpointMismatch(
            f"trials {names} began from different weights: the mean of their weights is worth nothing; take epochs of one "
            "trial, or of trials that go on from the same checkpoint"
        )


def mean_tensors(nets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor, summed in float64. Counts (of batch norm) are the largest one, of the longest training.

    Raises `CheckpointMismatch` where names, shapes or types differ.
    """
    first = nets[0]
    for other in nets[1:]:
        for name in [*first, *other]:
            ours, theirs = (
                f"{net[name].dtype}{tuple(net[name].shape)}" if name in net else "missing" for net in (first, other)
            )
            if ours != theirs:
                raise CheckpointMismatch(f"checkpoints of different architectures: {name} is {ours} and {theirs}")
    found = {}
    for name, value in first.items():
        stacked = torch.stack([net[name] for net in nets])
        found[name] = stacked.double().mean(0).to(value.dtype) if value.is_floating_point() else stacked.amax(0)
    return found


def _kin(config: TrialConfig) -> frozenset[str]:
    return frozenset([config.trial_id, *([config.parent.trial_id] if config.parent else [])])


def _evaluate_mean(task: SoupTask, taken: Sequence[Ingredient], seed: int) -> tuple[Training, Evaluation]:
    """The net with the mean weights of these checkpoints, and its evaluation on validation."""
    weights = taken[0].weights
    if len(taken) > 1:
        weights = save_tensors(mean_tensors([_load(each) for each in taken]))
    # Without averaging in training: the mean that is computed here predicts.
    plain = task.config.model_copy(update={"average": AverageConfig(), "schedule": ScheduleConfig()})
    net = load_net(task.config, task.images.shape, weights).to(task.images.pixels.device)
    soup = Training(plain, task.images, task.parts, net=net)
    soup.epoch = max(each.checkpoint.epoch for each in taken)
    if len(taken) > 1:
        soup.measure_statistics(seed)
    return soup, soup.evaluate("validation")


def _load(ingredient: Ingredient) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_tensors(ingredient.weights)
        return tensors
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointMismatch(f"the weights of {ingredient.checkpoint} are no safetensors file ({error})") from None
