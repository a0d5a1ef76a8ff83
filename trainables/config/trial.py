"""The configuration that decides the result of a trial, as one frozen value, and the id that follows from it.

A trial is a pure function of its `TrialConfig`. Its `trial_id` is a hash of the keys that differ from their
defaults, so that a key added later, off by default, does not rename the trials of the past. It follows that a
default must never change: `tests/trainables/config/test_trial.py` holds the ids of known configurations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from trainables.config.augment import AugmentConfig
from trainables.config.base import Frozen, flatten, short_hash
from trainables.config.model import ModelConfig
from trainables.config.preparation import PreparationConfig
from trainables.config.training import AverageConfig, OptimizerConfig, ScheduleConfig

RECIPE = 1
"""Version of the training code; part of every trial's id. Raised when the same configuration trains to other numbers."""


class BagConfig(Frozen):
    """The subset of the training images for one member of a bag. Validation and test stay as they are."""

    kind: Literal["none", "bootstrap", "fold"] = "none"
    """`bootstrap`: as many as there are, drawn with replacement (Breiman 1996); `fold`: all but one of `of` folds."""
    number: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Number of the bootstrap; for `fold`, of the fold that is left out. The images are the same for every configuration."""
    of: Annotated[int, Field(ge=2, le=1000)] = 10
    """For `fold` alone: number of folds."""

    @model_validator(mode="after")
    def _is_one_of_the_folds(self) -> Self:
        if self.kind == "fold" and self.number > self.of:
            raise ValueError(f"number is {self.number}, but there are only {self.of} folds: lower it or raise of")
        return self


class ParentConfig(Frozen):
    """A checkpoint that a trial starts from, instead of from initial weights."""

    trial_id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    epoch: Annotated[int, Field(ge=1)]

    def __str__(self) -> str:
        return f"{self.trial_id}@{self.epoch}"


class BoostConfig(Frozen):
    """A round of boosting, and its previous round. Set by `search.method: boosting` alone."""

    kind: Literal["none", "samme", "gradient"] = "none"
    """`samme`: images that the previous round misclassifies get larger weights in the loss (Zhu et al. 2009); `gradient`: a
    new net is added to those of the previous rounds, which are frozen (Friedman 2001)."""
    former: ParentConfig | None = None
    """The checkpoint of the previous round, which stores the image weights or the nets; None for the first round."""
    round: Annotated[int, Field(ge=1, le=1000)] = 1
    """For `gradient` alone: number of this round, which is the number of nets in the sum."""
    shrinkage: Annotated[float, Field(gt=0, le=1)] = 1.0
    """For `gradient` alone: factor of the logits of each net after the first."""

    @model_validator(mode="after")
    def _later_rounds_have_a_former(self) -> Self:
        if self.kind == "gradient" and (self.round == 1) != (self.former is None):
            raise ValueError(f"round is {self.round}, but former is {self.former}: the first round alone has none")
        if self.kind != "gradient" and (self.round != 1 or self.shrinkage != 1):
            raise ValueError(f"round and shrinkage are of gradient boosting, not of {self.kind}: leave them out")
        return self


def combine_sources(sources: Sequence[str]) -> str:
    """The `code` of a trial whose plug-ins have these hashes of their sources; "" where there are none."""
    return sources[0] if len(sources) == 1 else short_hash(list(sources), digits=12) if sources else ""


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
    data: PreparationConfig = PreparationConfig()
    train_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training images that are used, the same for each class: for learning curves over data."""
    bag: BagConfig = BagConfig()
    pseudo_table: Annotated[str, Field(pattern=r"^([0-9a-f]{16})?$")] = ""
    """Name of a table of pseudo-labelled images in the store, which are added to the training images."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of convolutions. `auto`: bfloat16 where the device has units for it (AMX, recent GPUs), else float32."""
    parent: ParentConfig | None = None
    """The checkpoint that weights and optimizer start from; the count of epochs continues from its epoch."""
    boost: BoostConfig = BoostConfig()
    code: Annotated[str, Field(pattern=r"^([0-9a-f]{12})?$")] = ""
    """Hash of the source of its custom model and augmentation; "" where it has neither. Filled in by the sweep."""

    @cached_property
    def trial_id(self) -> str:
        """Twelve hexadecimal digits: the name of the folder that holds everything this trial stores.

        >>> TrialConfig(data_id="d", seed=0).trial_id == TrialConfig(data_id="d", seed=0, precision="auto").trial_id
        True
        """
        payload = {"recipe": RECIPE, **self.model_dump(mode="json", exclude_defaults=True)}
        return short_hash(payload, digits=12)

    def flat(self) -> dict[str, Any]:
        """Dotted keys with their values; parent and previous round of boosting are strings such as `0f3a…@3`."""
        values = flatten(self.model_dump(mode="json", exclude={"parent": True, "boost": {"former"}}))
        named = {"parent": self.parent, "boost.former": self.boost.former}
        return values | {key: str(value) if value else None for key, value in named.items()}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with the fields of `update`. Pydantic's method alone would keep the cached id of the original."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("trial_id", None)
        return copied
