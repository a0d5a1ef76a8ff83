"""The forecast of a sweep, from simulated runs with made-up results, whose epochs take as long as measured."""

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
from trainables.results.record import ENDED, EpochResult

SPEEDS = (0.0, -1.0, 1.0)
"""Rehearsals take turns: with the measured times, with the shortest and with the longest ones within their error."""

REHEARSALS, FEWER_REHEARSALS, MANY_TRIALS = 9, 3, 1000
"""Rehearsals of a sweep, fewer if it has many trials: their random results average out."""


NOISE = 0.02
"""The range of the random noise in the accuracy of an epoch."""

SIZE_COUNTS = 0.06
"""How much more accurate the slowest architecture is assumed to be than the fastest. On digits, accuracy and seconds of nine
networks that differed in nothing else went together (Spearman 0.72), of 32 whose rates differed too they did not (-0.36)."""


@dataclass(frozen=True)
class SweepState:
    """A sweep as it stands before `caucus run`."""

    spec: SweepSpec
    build: Callable[[SweepSpec], Search]
    """Builds a new search for a sweep, which has observed no event yet."""
    slots: int
    before: Sequence[Event] = ()
    """Events of the run, if it continues an earlier execution."""
    stored: Mapping[str, Collection[int]] = field(default_factory=dict)
    """Epochs that are in the store, by trial id."""
    known: Mapping[str, Mapping[int, EpochResult]] = field(default_factory=dict)
    """Results of such epochs, as far as they are recorded, by trial id and epoch."""
    price: float | None = None
    """Price of all nodes for an hour."""


@dataclass(frozen=True)
class DryRun:
    """The result of one simulation, or the median of all."""

    epochs: int
    """Epochs to be trained."""
    trials: int
    """Trials that the search plans."""
    begun: int
    """Trials that a slot takes up."""
    ended: int
    """Trials that come to their own end."""
    stages: Mapping[str, tuple[int, int]]
    """Trials, and epochs to be trained, by stage."""
    cap: str
    """The cap of the budget that ends the run; "" if none does."""
    seconds: float
    """Seconds from the command to its end."""
    configs: tuple[TrialConfig, ...] = ()


@dataclass(frozen=True)
class Forecast:
    """The median simulation, with the range of all; seconds are None if no epoch was ever measured."""

    middle: DryRun
    seconds: float | None
    low_s: float | None
    high_s: float | None
    low_epochs: int
    high_epochs: int


def dry_run(sweep_state: SweepState) -> DryRun:
    """One simulation in which every epoch takes a second."""
    return _simulate(sweep_state, None, 0)


def make_forecast(sweep_state: SweepState, epoch_times: EpochTimes | None) -> Forecast:
    """The forecast with `epoch_times`; without them, only of trials and epochs."""
    first = _simulate(sweep_state, epoch_times, 0)
    count = FEWER_REHEARSALS if first.trials > MANY_TRIALS else REHEARSALS
    outlooks = [first, *(_simulate(sweep_state, epoch_times, number) for number in range(1, count))]
    outlooks.sort(key=lambda outlook: outlook.seconds if epoch_times else outlook.epochs)
    middle = outlooks[len(outlooks) // 2]
    epochs = [outlook.epochs for outlook in outlooks]
    seconds = [outlook.seconds for outlook in outlooks] if epoch_times else [None]
    return Forecast(middle, middle.seconds if epoch_times else None, seconds[0], seconds[-1], min(epochs), max(epochs))


def _simulate(sweep_state: SweepState, epoch_times: EpochTimes | None, number: int) -> DryRun:
    """Rehearsal `number`, which alone decides the made-up results and the error of the times."""
    off = 1 + epoch_times.unsure * SPEEDS[number % len(SPEEDS)] if epoch_times else 1.0
    overheads = epoch_times.overheads if epoch_times else None
    start_s = overheads.start_s * off if overheads else 0.0
    spec = _with_remaining_budget(sweep_state.spec, sweep_state.price, start_s if epoch_times else None)
    state = RunState(sweep_state.before)
    until_s = math.inf
    if spec.budget.wall is not None:
        reserved_s = min(CLOSING_SHARE * spec.budget.wall, CLOSING_S)
        until_s = max(0.0, spec.budget.wall - reserved_s - state.elapsed_s - start_s)
    simulation = simulate(
        spec,
        _build(sweep_state, spec),
        sweep_state.slots,
        _epoch_simulator(sweep_state, epoch_times, number, off),
        journal=UnwrittenJournal(sweep_state.before),
        trial_start_s=overheads.switch_s * off if overheads else 0.0,
        range_test_s=overheads.range_test_s * off if overheads else 0.0,
        until_s=until_s,
    )
    seconds = 0.0
    if overheads:
        seconds = overheads.command_s + overheads.closing_s
        if len(simulation.state.started) > len(state.started) or simulation.elapsed_s:
            seconds += overheads.start_s
        seconds = seconds * off + simulation.elapsed_s
    return _summarise(sweep_state, simulation, spec, seconds)


def _summarise(sweep_state: SweepState, simulation: Simulation, spec: SweepSpec, seconds: float) -> DryRun:
    state = simulation.state
    stage_of: dict[str, str] = {}
    trials: dict[str, set[str]] = {}
    epochs: Counter[str] = Counter()
    for number, event in enumerate(simulation.events):
        if isinstance(event, TrialPlanned):
            stage_of[event.trial_id] = event.stage
            trials.setdefault(event.stage, set()).add(event.trial_id)
        elif isinstance(event, EpochReported) and number >= len(sweep_state.before):
            is_stored = event.result.epoch in sweep_state.stored.get(event.trial_id, ())
            epochs[stage_of[event.trial_id]] += not is_stored
    ended = sum(record.state in ENDED for record in state.trials.values())
    return DryRun(
        epochs=epochs.total(),
        trials=len(state.trials),
        begun=len(state.started | {name for name, record in state.trials.items() if record.epochs}),
        ended=ended,
        stages={stage: (len(names), epochs[stage]) for stage, names in trials.items()},
        cap=_cap(sweep_state.spec, spec, simulation) if ended < len(state.trials) else "",
        seconds=seconds,
        configs=tuple(record.config for record in state.trials.values()),
    )


def _cap(original: SweepSpec, spec: SweepSpec, simulation: Simulation) -> str:
    """The cap that stopped trials. `original` has the budget of the sweep file, `spec` the simulated one."""
    budget, state = spec.budget, simulation.state
    spent = Budget(budget, budget.price).spent(state, state.elapsed_s)
    if spent.startswith("budget.money"):
        return f"budget.money is {original.budget.money:g}"
    stopped = any(record.by_budget for record in state.trials.values())
    if not spent and budget.trials is not None and not stopped:
        return f"budget.trials is {budget.trials}"
    if not spent and budget.wall is not None:
        return f"budget.wall is {show_duration(budget.wall)}"
    return spent


def _build(sweep_state: SweepState, spec: SweepSpec) -> Search:
    """The search of the simulation: a model-based search is replaced by a random one with as many trials, which is fast."""
    drawn = spec.model_copy(update={"search": _drawn(spec.search)})
    try:
        return sweep_state.build(drawn)
    except SweepFileError:  # a space that is too small to draw so many
        return sweep_state.build(spec)


def _drawn(search: SearchConfig) -> SearchConfig:
    stages = [
        stage.model_copy(update={"method": "random"}) if stage.method in MODELLED else stage for stage in search.stages
    ]
    method = "random" if search.method in MODELLED else search.method
    return search.model_copy(update={"method": method, "stages": stages})


def _with_remaining_budget(spec: SweepSpec, price: float | None, start_s: float | None) -> SweepSpec:
    """The sweep with the budget that is left once the run has started; without `start_s`, only with caps that need no clock."""
    budget = spec.budget
    if start_s is None:
        changed: dict[str, object] = {"wall": None, "slot_hours": None, "money": None}
    else:
        changed = {"price": price}
        if budget.money is not None and price is not None:
            changed["money"] = max(1e-9, budget.money - start_s / HOUR_S * price)
    return spec.model_copy(update={"budget": budget.model_copy(update=changed)})


def _epoch_simulator(
    sweep_state: SweepState, epoch_times: EpochTimes | None, number: int, off: float
) -> EpochSimulator:
    """A function that makes up the results of simulation `number`."""
    luck = Luck(number, epoch_times)

    def simulate_epoch(config: TrialConfig, epoch: int) -> EpochResult:
        is_stored = epoch in sweep_state.stored.get(config.trial_id, ())
        seconds = READ_S * off if is_stored else luck.epoch_s(config) * off
        known = sweep_state.known.get(config.trial_id, {}).get(epoch) if is_stored else None
        accuracy = known.merit if known else luck.accuracy(config, epoch)
        loss = known.validation_loss if known else 1.0 - accuracy
        # All of the period counts as training: the slot is taken as long.
        return EpochResult(epoch, loss, accuracy, loss, accuracy, train_s=seconds, evaluate_s=0.0)

    return simulate_epoch


class Luck:
    """The made-up results of the trials of one simulation; `number` is their seed.

    The accuracy of a trial rises to a random level at a random speed, with some noise: ranks change while it trains, as
    in real runs. Level and speed follow from the keys that are not architecture, so that repeats have similar results;
    among architectures that differ in nothing else, slower ones tend to be better.
    """

    def __init__(self, number: int, epoch_times: EpochTimes | None) -> None:
        self._number = number
        self._epoch_times = epoch_times
        self._sorted_s = sorted(epoch_times.epochs_s.values()) if epoch_times else []
        self._known: dict[str, tuple[float, float, float]] = {}
        """Seconds an epoch, level, and epochs in which the accuracy rises, by trial id."""

    def epoch_s(self, config: TrialConfig) -> float:
        """Seconds from one epoch to the next; 1 if no times are known."""
        return self._trial(config)[0]

    def accuracy(self, config: TrialConfig, epoch: int) -> float:
        """The accuracy after `epoch`."""
        _, level, climb_epochs = self._trial(config)
        noise = share_of(self._number, epoch, f"noise/{config.trial_id}") - 0.5
        return level * (1 - math.exp(-epoch / climb_epochs)) + NOISE * noise

    def _trial(self, config: TrialConfig) -> tuple[float, float, float]:
        if config.trial_id not in self._known:
            seconds = self._epoch_times.epoch_s(config) if self._epoch_times else 1.0
            size = bisect.bisect_left(self._sorted_s, seconds) / max(1, len(self._sorted_s) - 1)
            rest = name_rest(config)
            luck, speed = (share_of(self._number, 0, f"{what}/{rest}") for what in ("level", "speed"))
            self._known[config.trial_id] = (seconds, 0.5 + 0.4 * luck + SIZE_COUNTS * min(1.0, size), 1 + 4 * speed)
        return self._known[config.trial_id]
