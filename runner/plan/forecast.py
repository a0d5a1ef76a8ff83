"""What a sweep will come to, from rehearsals of it with made-up trials whose epochs are as long as they were measured."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from runner.config.duration import show_duration
from runner.config.search import MODELLED, SearchConfig
from runner.config.sweep import SweepSpec
from runner.control.architecture import name_rest
from runner.control.budget import CLOSING_S, CLOSING_SHARE, HOUR_S, Budget
from runner.control.simulator import EpochSimulator, Simulation, simulate
from runner.journal.events import EpochReported, Event, TrialPlanned
from runner.journal.journal import UnwrittenJournal
from runner.journal.state import RunState
from runner.plan.epoch_times import READ_S, EpochTimes
from runner.search.base.protocol import Search
from runner.space.draws import share_of
from trainables.config.trial import TrialConfig
from trainables.errors import SweepFileError
from trainables.results.record import ENDED, OUT_OF_BUDGET, EpochResult

PACES = (0.0, -1.0, 1.0)
"""Rehearsals take turns at the measured pace, at the fastest and at the slowest one that it may be instead."""

REHEARSALS, FEWER_REHEARSALS, MANY_TRIALS = 9, 3, 1000
"""Each has luck of its own. The luck of many trials evens out, so of those there are fewer rehearsals."""


NOISE = 0.02
"""By how much the accuracy of an epoch is made up to vary."""

SIZE_COUNTS = 0.06
"""How much better the slowest architecture is made up to be than the fastest. On digits, accuracy and seconds of nine
networks that differed in nothing else went together (Spearman 0.72), of 32 whose rates differed too they did not (-0.36)."""


@dataclass(frozen=True)
class SweepState:
    """A sweep as it stands before `caucus run`."""

    spec: SweepSpec
    build: Callable[[SweepSpec], Search]
    """A new search for a sweep, which knows nothing of the run yet."""
    slots: int
    before: Sequence[Event] = ()
    """Of the run, if it goes on from an earlier execution."""
    stored: Mapping[str, Collection[int]] = field(default_factory=dict)
    """Epochs by trial that are in the store."""
    known: Mapping[str, Mapping[int, EpochResult]] = field(default_factory=dict)
    """Results of such epochs, as far as they are on record."""
    price: float | None = None
    """Of all nodes for an hour."""


@dataclass(frozen=True)
class DryRun:
    """What one rehearsal has come to, or all of them in the middle."""

    epochs: int
    """To be trained."""
    trials: int
    """That the search plans."""
    begun: int
    """Of these, those that a slot takes up."""
    ended: int
    """Of these, those that come to their own end."""
    stages: Mapping[str, tuple[int, int]]
    """Of each stage its trials, and the epochs to be trained in it."""
    cap: str
    """Which cap of the budget ends the run, "" where none does."""
    seconds: float
    """From the command to its end."""
    configs: tuple[TrialConfig, ...] = ()


@dataclass(frozen=True)
class Forecast:
    """What to expect, with the range of all rehearsals; seconds are None where no epoch was ever measured."""

    middle: DryRun
    seconds: float | None
    low_s: float | None
    high_s: float | None
    low_epochs: int
    high_epochs: int


def dry_run(prospect: SweepState) -> DryRun:
    """What the sweep may come upon: one rehearsal in which every epoch takes a second."""
    return _simulate(prospect, None, 0)


def make_forecast(prospect: SweepState, pace: EpochTimes | None) -> Forecast:
    """The forecast for `pace`; without one, of trials and epochs alone."""
    first = _simulate(prospect, pace, 0)
    count = FEWER_REHEARSALS if first.trials > MANY_TRIALS else REHEARSALS
    outlooks = [first, *(_simulate(prospect, pace, number) for number in range(1, count))]
    outlooks.sort(key=lambda outlook: outlook.seconds if pace else outlook.epochs)
    middle = outlooks[len(outlooks) // 2]
    epochs = [outlook.epochs for outlook in outlooks]
    seconds = [outlook.seconds for outlook in outlooks] if pace else [None]
    return Forecast(middle, middle.seconds if pace else None, seconds[0], seconds[-1], min(epochs), max(epochs))


def _simulate(prospect: SweepState, pace: EpochTimes | None, number: int) -> DryRun:
    """Simulation `number`: the made-up results, and how far the pace is off, follow from it alone."""
    off = 1 + pace.unsure * PACES[number % len(PACES)] if pace else 1.0
    overheads = pace.overheads if pace else None
    start_s = overheads.start_s * off if overheads else 0.0
    spec = _rehearsed(prospect.spec, prospect.price, start_s if pace else None)
    state = RunState(prospect.before)
    until_s = math.inf
    if spec.budget.wall is not None:
        kept_s = min(CLOSING_SHARE * spec.budget.wall, CLOSING_S)
        until_s = max(0.0, spec.budget.wall - kept_s - state.elapsed_s - start_s)
    rehearsal = simulate(
        spec,
        _build(prospect, spec),
        prospect.slots,
        _player(prospect, pace, number, off),
        journal=UnwrittenJournal(prospect.before),
        trial_start_s=overheads.switch_s * off if overheads else 0.0,
        range_test_s=overheads.range_test_s * off if overheads else 0.0,
        until_s=until_s,
    )
    seconds = 0.0
    if overheads:
        seconds = overheads.command_s + overheads.closing_s
        if len(rehearsal.state.started) > len(state.started) or rehearsal.elapsed_s:
            seconds += overheads.start_s
        seconds = seconds * off + rehearsal.elapsed_s
    return _look(prospect, rehearsal, spec, seconds)


def _look(prospect: SweepState, rehearsal: Simulation, spec: SweepSpec, seconds: float) -> DryRun:
    state = rehearsal.state
    stage_of: dict[str, str] = {}
    trials: dict[str, set[str]] = {}
    epochs: Counter[str] = Counter()
    for number, event in enumerate(rehearsal.events):
        if isinstance(event, TrialPlanned):
            stage_of[event.trial_id] = event.stage
            trials.setdefault(event.stage, set()).add(event.trial_id)
        elif isinstance(event, EpochReported) and number >= len(prospect.before):
            is_stored = event.result.epoch in prospect.stored.get(event.trial_id, ())
            epochs[stage_of[event.trial_id]] += not is_stored
    ended = sum(record.state in ENDED for record in state.trials.values())
    return DryRun(
        epochs=epochs.total(),
        trials=len(state.trials),
        begun=len(state.started | {name for name, record in state.trials.items() if record.epochs}),
        ended=ended,
        stages={stage: (len(names), epochs[stage]) for stage, names in trials.items()},
        cap=_cap(prospect.spec, spec, rehearsal) if ended < len(state.trials) else "",
        seconds=seconds,
        configs=tuple(record.config for record in state.trials.values()),
    )


def _cap(told: SweepSpec, spec: SweepSpec, rehearsal: Simulation) -> str:
    """The cap that kept trials from their ends. `told` has the budget of the sweep file, `spec` the rehearsed one."""
    budget, state = spec.budget, rehearsal.state
    spent = Budget(budget, budget.price).spent(state, state.elapsed_s)
    if spent.startswith("budget.money"):
        return f"budget.money is {told.budget.money:g}"
    stopped = any(record.reason.startswith(OUT_OF_BUDGET) for record in state.trials.values())
    if not spent and budget.trials is not None and not stopped:
        return f"budget.trials is {budget.trials}"
    if not spent and budget.wall is not None:
        return f"budget.wall is {show_duration(budget.wall)}"
    return spent


def _build(prospect: SweepState, spec: SweepSpec) -> Search:
    """The search of the rehearsal: a search that learns has as many trials as a random one, which costs nothing."""
    drawn = spec.model_copy(update={"search": _drawn(spec.search)})
    try:
        return prospect.build(drawn)
    except SweepFileError:  # a space that is too small to draw so many
        return prospect.build(spec)


def _drawn(search: SearchConfig) -> SearchConfig:
    stages = [
        stage.model_copy(update={"method": "random"}) if stage.method in MODELLED else stage for stage in search.stages
    ]
    method = "random" if search.method in MODELLED else search.method
    return search.model_copy(update={"method": method, "stages": stages})


def _rehearsed(spec: SweepSpec, price: float | None, start_s: float | None) -> SweepSpec:
    """The sweep with the budget that is left once the run has started; without a pace, of what needs no clock."""
    budget = spec.budget
    if start_s is None:
        changed: dict[str, object] = {"wall": None, "slot_hours": None, "money": None}
    else:
        changed = {"price": price}
        if budget.money is not None and price is not None:
            changed["money"] = max(1e-9, budget.money - start_s / HOUR_S * price)
    return spec.model_copy(update={"budget": budget.model_copy(update=changed)})


def _player(prospect: SweepState, pace: EpochTimes | None, number: int, off: float) -> EpochSimulator:
    """Makes up the results of rehearsal `number`."""
    luck = Luck(number, pace)

    def play(config: TrialConfig, epoch: int) -> EpochResult:
        is_stored = epoch in prospect.stored.get(config.trial_id, ())
        seconds = READ_S * off if is_stored else luck.epoch_s(config) * off
        known = prospect.known.get(config.trial_id, {}).get(epoch) if is_stored else None
        accuracy = known.validation_accuracy if known else luck.accuracy(config, epoch)
        loss = known.validation_loss if known else 1.0 - accuracy
        # All of the period counts as training: the slot is taken as long.
        return EpochResult(epoch, loss, accuracy, loss, accuracy, train_s=seconds, evaluate_s=0.0)

    return play


class Luck:
    """What the trials of one rehearsal come to; `number` decides it.

    A trial climbs to a level of its own at a speed of its own, with some noise: ranks change while it trains, as they
    do in earnest. Level and speed belong to what is not architecture, so that repeats come out alike; of
    architectures that differ in nothing else, those that take longer tend to be better.
    """

    def __init__(self, number: int, pace: EpochTimes | None) -> None:
        self._number = number
        self._pace = pace
        self._sorted_s = sorted(pace.epochs_s.values()) if pace else []
        self._known: dict[str, tuple[float, float, float]] = {}
        """Of each trial: seconds an epoch, level, epochs in which it climbs."""

    def epoch_s(self, config: TrialConfig) -> float:
        """From one epoch to the next; a second where no pace is known."""
        return self._trial(config)[0]

    def accuracy(self, config: TrialConfig, epoch: int) -> float:
        """After `epoch`."""
        _, level, climb_epochs = self._trial(config)
        noise = share_of(self._number, epoch, f"noise/{config.trial_id}") - 0.5
        return level * (1 - math.exp(-epoch / climb_epochs)) + NOISE * noise

    def _trial(self, config: TrialConfig) -> tuple[float, float, float]:
        if config.trial_id not in self._known:
            seconds = self._pace.epoch_s(config) if self._pace else 1.0
            size = bisect.bisect_left(self._sorted_s, seconds) / max(1, len(self._sorted_s) - 1)
            rest = name_rest(config)
            luck, speed = (share_of(self._number, 0, f"{what}/{rest}") for what in ("level", "speed"))
            self._known[config.trial_id] = (seconds, 0.5 + 0.4 * luck + SIZE_COUNTS * min(1.0, size), 1 + 4 * speed)
        return self._known[config.trial_id]
