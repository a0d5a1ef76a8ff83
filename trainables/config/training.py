"""The `optimizer`, `schedule` and `average` parts of a trial's configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainables.config.base import Frozen


class OptimizerConfig(Frozen):
    """The optimizer and its loss."""

    name: Literal["sgd", "adam", "adamw", "rmsprop"] = "sgd"
    lr: Annotated[float, Field(gt=0, le=100)] = 0.05
    """Learning rate at its peak."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """For `sgd` alone: momentum."""
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
    """L1: shrinkage of weights towards zero, not of biases and norms."""
    decay: Literal["auto", "coupled", "decoupled"] = "auto"
    """Whether L1 and L2 are part of the gradient, or a step of their own (Loshchilov and Hutter 2019). `auto`: decoupled with `adamw` alone."""
    decay_all: bool = False
    """Applies L1 and L2 to biases and norms, too."""
    clip: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of the gradient over all parameters (Pascanu et al. 2013); 0 for no limit."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 64
    """Images in a step. The last, incomplete batch of an epoch is left out. A batch that does not fit into memory is
    computed in parts."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: each class counts as much as any other, however few images it has."""


class ScheduleConfig(Frozen):
    """The learning rate schedule."""

    name: Literal["constant", "step", "exponential", "cosine", "cyclic", "one-cycle", "plateau"] = "constant"
    """`cosine` falls from the peak to zero; `cyclic` does so `cycles` times (Huang et al. 2017); `one-cycle` climbs in the
    first quarter, then falls linearly to zero; `step` and `exponential` fall by `factor` every so many epochs, in steps or smoothly; `plateau` when the validation loss has not improved."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Length of `cosine`, `one-cycle` and all cycles of `cyclic` in epochs; left out, `scheduler.max_epochs`."""
    cycles: Annotated[int, Field(ge=1, le=1000)] = 5
    """For `cyclic` alone: number of cycles, each of whole epochs. The end of each cycle is a snapshot."""
    every: Annotated[int, Field(ge=1)] = 10
    """Epochs after which `step` and `exponential` have fallen by `factor`; for `plateau`, epochs without improvement before
    it falls."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Factor by which `step`, `exponential` and `plateau` multiply the rate."""
    warm_up: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Epochs in which the rate rises linearly from zero to the rate of the schedule."""


class AverageConfig(Frozen):
    """Averaging of the weights: the averaged net predicts and votes, the net itself is trained on."""

    name: Literal["none", "ema", "swa"] = "none"
    """`ema`: exponential moving average after each step; `swa`: plain average after each epoch, with batch-norm statistics
    computed again (Izmailov et al. 2018)."""
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.998
    """For `ema` alone: decay per step."""
    start: Annotated[int, Field(ge=0)] = 0
    """Epochs before the average begins; until then the net itself predicts."""
