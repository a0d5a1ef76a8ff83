"""What decides the result of a trial, as one frozen value, and the name that follows from it.

A trial is a pure function of its `TrialConfig`. Its `trial_id` is a hash of the keys that differ from their
defaults, so that a key added later, off by default, does not rename the trials of the past. It follows that a
default must never change: `tests/trainables/test_config.py` holds the ids of known configurations.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

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
    """For `sgd` alone (Nesterov's form); `adamw` keeps its betas of 0.9 and 0.999."""
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

    @property
    def trial_id(self) -> str:
        """Twelve hexadecimal digits: the name under which everything that this trial leaves behind lies.

        >>> TrialConfig(data_id="d", seed=0).trial_id == TrialConfig(data_id="d", seed=0, precision="auto").trial_id
        True
        """
        told = {"recipe": RECIPE, **self.model_dump(mode="json", exclude_defaults=True)}
        return short_hash(told, digits=12)


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
