"""What a driver and its workers say to each other through Ray Tune: the task of a slot, and what came of it.

Tune hands plain mappings around, a `config` to the worker and a `result` to the driver. Nothing else knows their keys.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from trainables.config.trial import TrialConfig
from trainables.results.record import EpochResult, TrialCost, TrialState

RESULT_KEYS = tuple(field.name for field in fields(EpochResult))


@dataclass(frozen=True)
class TuneTask:
    """What a slot is given to do: to train a trial, to test an architecture's learning rates, or to stand by."""

    name: str
    trial: TrialConfig | None = None
    """None where the slot stands by."""
    after_epoch: int = 0
    """The last epoch on record."""
    range_test: str = ""
    """The key of the architecture whose learning rates are tested, "" where a trial is trained."""
    left_s: float = math.inf
    """Seconds until the run has to end."""
    standby_s: float = 0.0
    """Seconds that a slot without work sleeps; 0 for one that has some."""

    def to_config(self) -> dict[str, Any]:
        """The task as Tune's `config`. The trial is one string: Tune copies and resolves mappings."""
        if self.trial is None:
            return {"name": self.name, "standby": self.standby_s}
        trial = json.dumps(self.trial.model_dump(mode="json"))
        kind = {"range_test": self.range_test} if self.range_test else {"epoch": self.after_epoch}
        return {"name": self.name, "trial": trial, "left_s": self.left_s, **kind}

    @staticmethod
    def is_standby(config: Mapping[str, Any]) -> bool:
        """Whether Tune's `config` is that of a slot without work."""
        return "standby" in config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TuneTask:
        """The inverse of `to_config`."""
        if cls.is_standby(config):
            return cls(config["name"], standby_s=config["standby"])
        return cls(
            config["name"],
            TrialConfig.model_validate(json.loads(config["trial"])),
            config.get("epoch", 0),
            config.get("range_test", ""),
            config.get("left_s", math.inf),
        )


@dataclass(frozen=True)
class TuneReport:
    """What a worker says at the end of a step. One of these holds, in this order:

    unfit         nothing can be trained on its machine, and why
    standby       it had no work
    range_test    the outcome of a range test, as the journal keeps it
    leaving       its machine is about to be taken away, and who says so
    end           the trial came to an end, in the state `end`, for `reason`; `by_budget` where the time is over
    epoch         an epoch was trained, or found in the store
    """

    name: str
    unfit: str = ""
    standby: bool = False
    range_test: Mapping[str, Any] | None = None
    leaving: str = ""
    end: TrialState | None = None
    reason: str = ""
    by_budget: bool = False
    epoch: EpochResult | None = None
    trained: bool = False
    """Whether the epoch was trained just now."""
    cost: TrialCost | None = None
    """What the trial's net costs, the first time that it is known."""

    def to_result(self) -> dict[str, Any]:
        """The report as Tune's `result`, whose keys are flat."""
        if self.unfit:
            return {"name": self.name, "unfit": self.unfit}
        if self.standby:
            return {"name": self.name, "standby": True}
        result: dict[str, Any] = {
            "name": self.name,
            "trained": self.trained,
            "end": self.end,
            "reason": self.reason,
            "by_budget": self.by_budget,
        }
        if self.range_test is not None:
            result["range_test"] = json.dumps(dict(self.range_test))
        if self.leaving:
            result["leaving"] = self.leaving
        if self.cost is not None:
            result["cost"] = json.dumps(asdict(self.cost))
        return result | (asdict(self.epoch) if self.epoch else {})

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> TuneReport:
        """The inverse of `to_result`; keys that Tune adds are passed over."""
        values = {key: result[key] for key in RESULT_KEYS if key in result}
        return cls(
            name=result.get("name", ""),
            unfit=result.get("unfit", ""),
            standby=bool(result.get("standby")),
            range_test=json.loads(result["range_test"]) if "range_test" in result else None,
            leaving=result.get("leaving", ""),
            end=result.get("end") or None,
            reason=result.get("reason", ""),
            by_budget=bool(result.get("by_budget")),
            epoch=EpochResult(**values) if "validation_loss" in values else None,
            trained=bool(result.get("trained")),
            cost=TrialCost(**json.loads(result["cost"])) if "cost" in result else None,
        )
