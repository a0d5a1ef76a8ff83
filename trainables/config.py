"""What decides the result of a trial, as one frozen value, and the name that follows from it.

A trial is a pure function of its `TrialConfig`. Its `trial_id` is a hash of the keys that differ from their
defaults, so that a key added later, off by default, does not rename the trials of the past. It follows that a
default must never change: `tests/trainables/test_config.py` holds the ids of known configurations.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

RECIPE = 1
"""Part of every trial's name. Raised when the same configuration starts to train to other numbers."""


class Frozen(BaseModel):
    """Base of all configuration: immutable, no unknown keys, only finite numbers, no silent `"3"` for 3."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True, validate_default=True)


class ModelConfig(Frozen):
    """Which network. A plain CNN: `blocks` of convolution, batch norm, pooling, ReLU, dropout, then one linear layer."""

    name: Literal["cnn"] = "cnn"
    """The family: a function in `trainables/models.py`."""
    blocks: Annotated[int, Field(ge=1, le=5)] = 2
    """Blocks; each halves height and width where they still can be halved."""
    width: Annotated[int, Field(ge=1, le=1024)] = 16
    """Channels of the first block; each further block has twice as many, at most four times `width`."""
    batch_norm: bool = True
    """Batch normalisation after each convolution (Ioffe and Szegedy 2015)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability of dropping a channel after each block, and a feature before the last layer (Srivastava 2014)."""


class OptimizerConfig(Frozen):
    """How weights are fitted."""

    name: Literal["sgd", "adamw"] = "sgd"
    lr: Annotated[float, Field(gt=0, le=100)] = 0.05
    """Learning rate at its peak."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """For `sgd` alone (Nesterov's form)."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """For `adamw` alone: decay of the mean of gradients."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """For `adamw` alone: decay of the mean of their squares."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Decay of weights, not of biases and norms. Coupled (L2) with `sgd`, decoupled with `adamw`."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 64
    """Images a step. The last, incomplete batch of an epoch is left out."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0


class ScheduleConfig(Frozen):
    """How the learning rate moves over the epochs."""

    name: Literal["constant", "cosine", "one-cycle"] = "constant"
    """`cosine` falls from the peak to zero; `one-cycle` climbs in the first quarter, then falls linearly to zero."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Length of the cycle in epochs; left out, `scheduler.max_epochs`. Nothing to a `constant` schedule."""


class ParentConfig(Frozen):
    """A checkpoint that a trial goes on from, instead of from fresh weights."""

    trial_id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    epoch: Annotated[int, Field(ge=1)]

    def __str__(self) -> str:
        return f"{self.trial_id}@{self.epoch}"


class TrialConfig(Frozen):
    """Everything that decides the result of one trial."""

    data_id: str
    """Fingerprint of images, labels, class names and split."""
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    """Decides initial weights, order of images and dropout."""
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of convolutions. `auto`: bfloat16 where the device has units for it (AMX, recent GPUs), else float32."""
    parent: ParentConfig | None = None
    """The checkpoint that weights and optimizer start from; epochs go on counting from there."""

    @cached_property
    def trial_id(self) -> str:
        """Twelve hexadecimal digits: the name under which everything that this trial leaves behind lies.

        >>> TrialConfig(data_id="d", seed=0).trial_id == TrialConfig(data_id="d", seed=0, precision="auto").trial_id
        True
        """
        told = {"recipe": RECIPE, **self.model_dump(mode="json", exclude_defaults=True)}
        return short_hash(told, digits=12)

    def flat(self) -> dict[str, Any]:
        """Dotted keys with their values; the parent as `0f3a…@3`."""
        told = flatten(self.model_dump(mode="json", exclude={"parent"}))
        return told | {"parent": str(self.parent) if self.parent else None}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with the fields of `update`; pydantic's own would keep the name of the original."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("trial_id", None)
        return copied


@dataclass(frozen=True)
class Condition:
    """A key has an effect only where another one has one of some values."""

    key: str
    values: frozenset[str]


CONDITIONS: Mapping[str, Condition] = {
    "optimizer.momentum": Condition("optimizer.name", frozenset({"sgd"})),
    "optimizer.beta1": Condition("optimizer.name", frozenset({"adamw"})),
    "optimizer.beta2": Condition("optimizer.name", frozenset({"adamw"})),
    "schedule.epochs": Condition("schedule.name", frozenset({"cosine", "one-cycle"})),
}
"""Keys that are without effect elsewhere: a search leaves them at their defaults there."""


def short_hash(value: object, digits: int) -> str:
    """The first hexadecimal `digits` of the SHA-256 of `value` as canonical JSON (sorted keys, shortest floats)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones.

    >>> flatten({"optimizer": {"lr": 0.1}, "seed": 3})
    {'optimizer.lr': 0.1, 'seed': 3}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
