"""The context of one stage of a search: its part of the sweep file, what earlier stages froze, and how a trial is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from runner.config.rules import stage_scheduler
from runner.config.search import MethodConfig
from runner.config.sweep import SweepSpec
from runner.journal.events import Event, TrialEnded, TrialPlanned
from runner.journal.state import RunState
from runner.space.conditions import IsActive, active_values, activity, in_order
from runner.space.distribution import Distribution, Value
from runner.space.draws import share_of
from trainables.config.base import short_hash
from trainables.config.trial import TrialConfig
from trainables.errors import SweepFileError
from trainables.results.record import ENDED, TrialRecord

ARCHITECTURE = ("optimizer.name", "optimizer.batch_size")
"""Keys beside those of the model whose choices move the range of good learning rates."""


@dataclass(frozen=True)
class StageContext:
    """One stage of a search, or the whole of one that has no stages."""

    spec: SweepSpec
    data_id: str
    stage: str
    method: MethodConfig
    base: Mapping[str, Value]
    """Values that earlier stages found and froze, and values that this one sets."""

    @property
    def max_epochs(self) -> int:
        """The last epoch of the stage's trials."""
        return stage_scheduler(self.spec, self.stage).max_epochs

    @cached_property
    def space(self) -> dict[str, Distribution]:
        """How each key varies here, each key after those that its conditions name."""
        space = {
            key: distribution.resolve(self.fixed(key), lambda value, key=key: self.admits(key, value))  # type: ignore[misc]
            if distribution.kind == "around"
            else distribution
            for key, distribution in self.method.space.items()
        }
        return in_order(space)

    @cached_property
    def is_active(self) -> IsActive:
        """Whether a key varies, given the values so far."""
        return activity(self.method.space, self.fixed)

    def fixed(self, key: str) -> Value:
        """The value of `key` if this stage does not vary it."""
        value: Value = self.base[key] if key in self.base else self.spec.fixed(key)
        return value

    def admits(self, key: str, value: Value) -> bool:
        """Whether a trial may have `value` at `key`."""
        try:
            self.spec.trial("", {key: value})
        except ValidationError:
            return False
        return True

    @property
    def seed(self) -> int:
        """The seed of all draws here: the search's, and another one for each stage."""
        search_seed = self.spec.search.seed
        return (
            int(short_hash({"search.seed": search_seed, "stage": self.stage}, digits=8), 16)
            if self.stage
            else search_seed
        )

    def share(self, index: int, key: str) -> float:
        """The draw for `key` of configuration `index`."""
        return share_of(self.seed, index, key)

    def draw(self, index: int) -> dict[str, Value]:
        """Configuration `index` at random; a learning rate whose range is to be tested is its share of that range."""
        drawn = {
            key: self.share(index, key) if how.kind == "range_test" else how.draw(self.share(index, key))
            for key, how in self.space.items()
        }
        return self.active(drawn)

    def active(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Those of `values` that have an effect."""
        return active_values(self.space, self.is_active, values)

    def trial(self, values: Mapping[str, Value], repeat: int = 0) -> TrialConfig:
        """The trial with `values` and the frozen ones."""
        return self.spec.trial(self.data_id, {**self.base, **values}, self.max_epochs, repeat)

    def trials(self, values: Mapping[str, Value]) -> tuple[TrialConfig, ...]:
        """The trial with `values` once for each repeat."""
        return tuple(self.trial(values, repeat) for repeat in range(self.method.repeats))

    @property
    def tested_key(self) -> str | None:
        """The key whose range a test finds, if there is one."""
        return next((key for key, how in self.space.items() if how.kind == "range_test"), None)

    @cached_property
    def architecture_keys(self) -> tuple[str, ...]:
        """The keys that distinguish architectures: choices and whole numbers of model, optimizer and batch size."""
        return tuple(
            key
            for key, how in self.space.items()
            if (key.startswith("model.") or key in ARCHITECTURE) and how.kind in ("choice", "int")
        )

    def architecture(self, values: Mapping[str, Value]) -> TrialConfig:
        """The trial whose range test stands for all that share its model, optimizer and batch size.

        What varies continuously, such as dropout, takes the middle of its range.
        """
        middle: dict[str, Value] = {}
        for key, how in self.space.items():
            if key in values and how.kind != "range_test":
                middle[key] = values[key] if key in self.architecture_keys else how.draw(0.5)
        return self.trial({**self.active(middle), "seed": 0})


class Progress:
    """Which trials of a stage are recorded, and which of them have not ended. A fold over the run's events."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self.planned: dict[str, TrialConfig] = {}
        """Trials of the stage by id, in order."""
        self._open: set[str] = set()

    def observe(self, event: Event) -> None:
        """Update the progress by an event of the run."""
        if isinstance(event, TrialPlanned) and event.stage == self._stage:
            self.planned[event.trial_id] = TrialConfig.model_validate(event.config)
            self._open.add(event.trial_id)
        elif isinstance(event, TrialEnded) and event.state in ENDED:
            self._open.discard(event.trial_id)

    @property
    def all_ended(self) -> bool:
        """Whether every recorded trial has ended."""
        return not self._open

    def have_ended(self, names: Iterable[str]) -> bool:
        """Whether these trials have ended."""
        return self._open.isdisjoint(names)

    def records(self, state: RunState) -> list[TrialRecord]:
        """The stage's trials, in order."""
        return [state.trials[name] for name in self.planned]


def missing(trials: Iterable[TrialConfig], progress: Progress) -> tuple[TrialConfig, ...]:
    """Those of `trials` that are not recorded, each once."""
    found = {trial.trial_id: trial for trial in trials}
    return tuple(trial for name, trial in found.items() if name not in progress.planned)


def values_of(trial: TrialConfig, keys: Iterable[str]) -> dict[str, Any]:
    """The values that a trial has at dotted `keys`."""
    flat = trial.flat()
    return {key: flat[key] for key in keys if key in flat}


def refuse_small_space(requested: int, found: int) -> SweepFileError:
    """The error for a space with fewer configurations than asked for."""
    return SweepFileError(
        f"search.trials is {requested}, but the space holds only about {found} different trial(s): "
        "lower search.trials, widen search.space, or use search.method=grid"
    )
