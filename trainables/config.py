"""What decides the result of a trial, as one frozen value, and the name that follows from it.

A trial is a pure function of its `TrialConfig`. Its `trial_id` is a hash of the keys that differ from their
defaults, so that a key added later, off by default, does not rename the trials of the past. It follows that a
default must never change: `tests/trainables/test_config.py` holds the ids of known configurations.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

MODEL_PATTERN = r"^(cnn|(torchvision|timm)/[A-Za-z0-9_.]+|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)$"

RECIPE = 1
"""Part of every trial's name. Raised when the same configuration starts to train to other numbers."""


OwnValue = str | int | float | bool | None
"""What a key of a person's own model can be."""


def is_own(model_name: object) -> bool:
    """Whether a model's name is that of a person's own, `module:function`. False for what can be no name, before it is refused."""
    return isinstance(model_name, str) and ":" in model_name


class Frozen(BaseModel):
    """Base of all configuration: immutable, no unknown keys, only finite numbers, no silent `"3"` for 3."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True, validate_default=True)


def _check_model_name(name: str) -> str:
    if not re.fullmatch(MODEL_PATTERN, name):
        raise PydanticCustomError("model_name", "Input should be 'cnn', torchvision/NAME, timm/NAME or module:function")
    return name


class ModelConfig(Frozen):
    """Which network. `cnn` is a plain one: `blocks` of convolution, norm, activation, pooling, dropout, then a linear layer.

    The keys after `name` and `weights` are those of `cnn`. A person's own model is called with those that its signature
    names, and may have further ones of its own here; no other model may.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, OwnValue] = Field(init=False)

    name: Annotated[str, AfterValidator(_check_model_name)] = "cnn"
    """`cnn`, `torchvision/resnet18` and the like, `timm/resnet18` (needs timm), or a person's own `module:function`."""
    weights: str = ""
    """A safetensors file (a path, or a URI in a store) that the weights start from; a last layer of another size starts afresh."""
    blocks: Annotated[int, Field(ge=1, le=5)] = 2
    """Blocks; each halves height and width where they still can be halved."""
    convs: Annotated[int, Field(ge=1, le=4)] = 1
    """Convolutions in each block."""
    width: Annotated[int, Field(ge=1, le=1024)] = 16
    """Channels of the first block."""
    growth: Annotated[float, Field(ge=1, le=4)] = 2.0
    """Channels of each further block, as a multiple of the block before."""
    widest: Annotated[float, Field(ge=1, le=64)] = 4.0
    """Channels of a block at most, as a multiple of `width`."""
    kernel: Literal[3, 5] = 3
    """Height and width of the convolutions, in pixels."""
    batch_norm: bool = True
    """Batch normalisation after each convolution (Ioffe and Szegedy 2015)."""
    group_norm: bool = False
    """Group normalisation in its place (Wu and He 2018): the same for any batch size."""
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu"] = "relu"
    residual: bool = False
    """Adds what enters a block to what its convolutions make of it (He et al. 2016); a 1 x 1 convolution fits the channels."""
    pooling: Literal["max", "average", "stride"] = "max"
    """How a block halves height and width; `stride`: its last convolution does."""
    head: Literal["flatten", "average"] = "flatten"
    """What the first dense layer sees: every position, or the average over positions (Lin et al. 2014)."""
    dense: Annotated[int, Field(ge=0, le=4)] = 0
    """Dense layers with an activation, before the last linear layer."""
    neurons: Annotated[int, Field(ge=1, le=8192)] = 128
    """Of each of these."""
    init: Literal["he", "xavier", "orthogonal"] = "he"
    """First weights (He 2015, Glorot and Bengio 2010, Saxe et al. 2014)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability of dropping a channel after each block, and a feature before each dense layer (Srivastava 2014)."""
    head_dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """The latter alone; left out, as `dropout`."""

    @model_validator(mode="after")
    def _keep_extra_keys_for_own_models(self) -> Self:
        if not is_own(self.name):
            for key, value in (self.model_extra or {}).items():
                raise ValidationError.from_exception_data(
                    "ModelConfig", [{"type": "extra_forbidden", "loc": (key,), "input": value}]
                )
        return self


class OptimizerConfig(Frozen):
    """How weights are fitted."""

    name: Literal["sgd", "adam", "adamw", "rmsprop"] = "sgd"
    lr: Annotated[float, Field(gt=0, le=100)] = 0.05
    """Learning rate at its peak."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """For `sgd` alone."""
    nesterov: bool = True
    """For `sgd` alone: Nesterov's form of the momentum."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """For `adam` and `adamw`: decay of the mean of gradients."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """For `adam` and `adamw`: decay of the mean of their squares."""
    alpha: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """For `rmsprop` alone: decay of the mean of squared gradients."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    """L2: decay of weights, not of biases and norms."""
    l1: Annotated[float, Field(ge=0, le=10)] = 0.0
    """L1: pull of weights towards zero, not of biases and norms."""
    decay: Literal["auto", "coupled", "decoupled"] = "auto"
    """Whether L1 and L2 are part of the gradient, or a step of their own (Loshchilov and Hutter 2019). `auto`: decoupled with `adamw` alone."""
    decay_all: bool = False
    """L1 and L2 hold for biases and norms too."""
    clip: Annotated[float, Field(ge=0)] = 0.0
    """Norm of the gradient over all parameters at most (Pascanu et al. 2013); 0 for no limit."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 64
    """Images a step. The last, incomplete batch of an epoch is left out. One too large for the memory is taken in parts."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: each class counts as much as any other, however few images it has."""


class ScheduleConfig(Frozen):
    """How the learning rate moves over the epochs."""

    name: Literal["constant", "step", "exponential", "cosine", "cyclic", "one-cycle", "plateau"] = "constant"
    """`cosine` falls from the peak to zero; `cyclic` does so `cycles` times (Huang et al. 2017); `one-cycle` climbs in the
    first quarter, then falls linearly to zero; `step` and `exponential` fall by `factor` every so many epochs, in steps or smoothly; `plateau` when the validation loss has not improved."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Length of `cosine`, `one-cycle` and all cycles of `cyclic` in epochs; left out, `scheduler.max_epochs`."""
    cycles: Annotated[int, Field(ge=1, le=1000)] = 5
    """Of `cyclic`: so many falls, each of whole epochs, at most one an epoch. The end of each is a snapshot."""
    every: Annotated[int, Field(ge=1)] = 10
    """Epochs after which `step` and `exponential` have fallen by `factor`; of `plateau`, epochs without improvement that are too many."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What `step`, `exponential` and `plateau` multiply the rate by."""
    warm_up: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Epochs in which the rate climbs linearly from zero to where the schedule has it."""


class AverageConfig(Frozen):
    """Averaging of the weights over steps: the averaged net predicts and votes, the other one trains on."""

    name: Literal["none", "ema", "swa"] = "none"
    """`ema`: exponential moving average after each step; `swa`: plain average after each epoch, with batch-norm statistics
    computed again (Izmailov et al. 2018)."""
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.998
    """Of `ema`, a step."""
    start: Annotated[int, Field(ge=0)] = 0
    """Epochs before the average begins; until then the net itself predicts."""


class AugmentConfig(Frozen):
    """Training images are varied, each by its own draw, on the device. All of it is off by default.

    A range is symmetric: `rotation: 10` turns by -10 to 10 degrees.
    """

    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability of mirroring left and right."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Degrees."""
    shear: Annotated[float, Field(ge=0, le=60)] = 0.0
    """Degrees, along height and width."""
    shift: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of height and width."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """0.1 makes the image 0.9 to 1.1 times as large."""
    crop: Annotated[int, Field(ge=0, le=64)] = 0
    """Whole pixels of shift, the border filled by reflection: padding and a random crop."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the colour circle. Needs three channels."""
    saturation: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share. Needs three channels."""
    exposure: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Brightness, as a share."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share."""
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation at most, of Gaussian noise on pixels from 0 to 1."""
    erasing: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability of filling a random rectangle with the mean (Zhong et al. 2020)."""
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Alpha of the Beta distribution that two images are blended by (Zhang et al. 2018)."""
    cutmix: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Alpha of the Beta distribution that decides how much of another image is pasted in (Yun et al. 2019)."""
    strength: Annotated[float, Field(ge=0, le=1)] = 0.0
    """One number for all: each image gets two of the operations above, drawn at random, at this share of their usual
    greatest strength (after RandAugment, Cubuk et al. 2020)."""


class BagConfig(Frozen):
    """Which of the training images are trained on, for members of a team that see different ones. Validation and test stay."""

    kind: Literal["none", "bootstrap", "fold"] = "none"
    """`bootstrap`: as many as there are, drawn with replacement (Breiman 1996); `fold`: all but one of `of` folds."""
    number: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Which bootstrap; of `fold` the fold that is left out. The same images for every configuration."""
    of: Annotated[int, Field(ge=2, le=1000)] = 10
    """Folds that the training images are dealt into, for `fold` alone."""

    @model_validator(mode="after")
    def _is_one_of_the_folds(self) -> Self:
        if self.kind == "fold" and self.number > self.of:
            raise ValueError(f"number is {self.number}, but there are only {self.of} folds: lower it or raise of")
        return self


class ParentConfig(Frozen):
    """A checkpoint that a trial goes on from, instead of from fresh weights."""

    trial_id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    epoch: Annotated[int, Field(ge=1)]

    def __str__(self) -> str:
        return f"{self.trial_id}@{self.epoch}"


class BoostConfig(Frozen):
    """A round of boosting, and the round that it follows. Set by `search.method: boosting` alone."""

    kind: Literal["none", "samme", "gradient"] = "none"
    """`samme`: images that the round before had wrong count more in the loss (Zhu et al. 2009); `gradient`: a new net is added
    to those of the rounds before, which stay as they are (Friedman 2001)."""
    former: ParentConfig | None = None
    """The checkpoint of the round before, which has the weights of the images, or the nets; None of the first."""
    round: Annotated[int, Field(ge=1, le=1000)] = 1
    """Of `gradient`: so many nets the trial's own holds, one of each round up to this one."""
    shrinkage: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of `gradient`: what the logits of each net after the first are multiplied by."""

    @model_validator(mode="after")
    def _later_rounds_have_a_former(self) -> Self:
        if self.kind == "gradient" and (self.round == 1) != (self.former is None):
            raise ValueError(f"round is {self.round}, but former is {self.former}: the first round alone has none")
        if self.kind != "gradient" and (self.round != 1 or self.shrinkage != 1):
            raise ValueError(f"round and shrinkage are of gradient boosting, not of {self.kind}: leave them out")
        return self


class TrialConfig(Frozen):
    """Everything that decides the result of one trial."""

    data_id: str
    """Fingerprint of images, labels, class names and split."""
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    """Decides initial weights, order of images and dropout."""
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    average: AverageConfig = AverageConfig()
    augment: AugmentConfig = AugmentConfig()
    train_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training images that are trained on, of each class alike: how accuracy grows with data."""
    bag: BagConfig = BagConfig()
    pseudo_table: Annotated[str, Field(pattern=r"^([0-9a-f]{16})?$")] = ""
    """Name of a table of pseudo-labelled images in the store, which are trained on too."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of convolutions. `auto`: bfloat16 where the device has units for it (AMX, recent GPUs), else float32."""
    parent: ParentConfig | None = None
    """The checkpoint that weights and optimizer start from; epochs go on counting from there."""
    boost: BoostConfig = BoostConfig()

    @cached_property
    def trial_id(self) -> str:
        """Twelve hexadecimal digits: the name under which everything that this trial leaves behind lies.

        >>> TrialConfig(data_id="d", seed=0).trial_id == TrialConfig(data_id="d", seed=0, precision="auto").trial_id
        True
        """
        told = {"recipe": RECIPE, **self.model_dump(mode="json", exclude_defaults=True)}
        return short_hash(told, digits=12)

    def flat(self) -> dict[str, Any]:
        """Dotted keys with their values; the parent, and the round of boosting before, as `0f3a…@3`."""
        told = flatten(self.model_dump(mode="json", exclude={"parent": True, "boost": {"former"}}))
        named = {"parent": self.parent, "boost.former": self.boost.former}
        return told | {key: str(value) if value else None for key, value in named.items()}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with the fields of `update`; pydantic's own would keep the name of the original."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("trial_id", None)
        return copied


@dataclass(frozen=True)
class Condition:
    """A key has an effect only where another one has one of some values, or is a text that `pattern` matches wholly."""

    key: str
    values: frozenset[object]
    pattern: str = ""
    told: str = ""
    """`pattern` in words."""

    def holds(self, value: object) -> bool:
        """Whether the key has an effect where the other one has this value."""
        return value in self.values or bool(
            self.pattern and isinstance(value, str) and re.fullmatch(self.pattern, value)
        )

    def __str__(self) -> str:
        return " or ".join([*map(repr, sorted(map(str, self.values))), *([self.told] if self.told else [])])


OWN = Condition("model.name", frozenset(), r".+:.+", "module:function")
"""Of keys that only a person's own model has."""

PLAIN = Condition("model.name", frozenset({"cnn"}), r".+:.+", "module:function")
"""Of keys that `cnn` has, and a person's own model where it asks for them."""


CONDITIONS: Mapping[str, Condition] = {
    **{
        f"model.{key}": PLAIN
        for key in ModelConfig.model_fields
        if key not in ("name", "weights", "batch_norm", "growth", "widest", "neurons")
    },
    "model.batch_norm": Condition("model.group_norm", frozenset({False})),
    "model.growth": Condition("model.blocks", frozenset({2, 3, 4, 5})),
    "model.widest": Condition("model.blocks", frozenset({2, 3, 4, 5})),
    "model.neurons": Condition("model.dense", frozenset({1, 2, 3, 4})),
    "optimizer.momentum": Condition("optimizer.name", frozenset({"sgd"})),
    "optimizer.nesterov": Condition("optimizer.name", frozenset({"sgd"})),
    "optimizer.beta1": Condition("optimizer.name", frozenset({"adam", "adamw"})),
    "optimizer.beta2": Condition("optimizer.name", frozenset({"adam", "adamw"})),
    "optimizer.alpha": Condition("optimizer.name", frozenset({"rmsprop"})),
    "schedule.epochs": Condition("schedule.name", frozenset({"cosine", "cyclic", "one-cycle"})),
    "schedule.cycles": Condition("schedule.name", frozenset({"cyclic"})),
    "schedule.every": Condition("schedule.name", frozenset({"step", "exponential", "plateau"})),
    "schedule.factor": Condition("schedule.name", frozenset({"step", "exponential", "plateau"})),
    "bag.number": Condition("bag.kind", frozenset({"bootstrap", "fold"})),
    "bag.of": Condition("bag.kind", frozenset({"fold"})),
    "average.decay": Condition("average.name", frozenset({"ema"})),
    "average.start": Condition("average.name", frozenset({"ema", "swa"})),
}
"""Keys that are without effect elsewhere: a search leaves them at their defaults there. Such a key may have a condition itself."""


def condition_of(key: str) -> Condition | None:
    """Where a dotted key of a trial has an effect; None where that is everywhere."""
    room, _, name = key.partition(".")
    if room == "model" and name not in ModelConfig.model_fields:
        return OWN
    return CONDITIONS.get(key)


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
