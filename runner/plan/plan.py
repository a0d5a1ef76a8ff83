"""What a sweep would do and cost: its trials, which epochs the store has, and how long the rest will take.

Trains nothing but for a probe of about a second an architecture, and writes nothing to the store.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from runner.cluster.node_types import count_gpus, read_neighbour
from runner.cluster.slot import NoSlot, Slot, choose_slot
from runner.config.pseudo_labels import PSEUDO
from runner.config.rules import stage_scheduler
from runner.config.search import MESHES, MethodConfig
from runner.config.sweep import SweepSpec
from runner.control.architecture import name_architecture
from runner.control.budget import HOUR_S
from runner.control.price import find_price
from runner.control.time_left import expected_epochs
from runner.journal.events import EpochReported, Event
from runner.journal.journal import Journal
from runner.journal.latest import read_latest
from runner.journal.state import RunState
from runner.plan.epoch_times import EpochTimes, Overheads, find_epoch_times
from runner.plan.forecast import Forecast, SweepState, dry_run, make_forecast
from runner.plan.history import History
from runner.plan.probe import Probe, count_slots, find_slot_here, probe
from runner.preflight.pin_weights import pin_pretrained_weights
from runner.preflight.pixel_keys import check_pixels
from runner.preflight.plugins import check_plugins
from runner.runs.compatibility import check_understood
from runner.runs.former_run import read_former, read_trained
from runner.runs.versions import versions
from runner.search.base.former import Former
from runner.search.base.protocol import Plan as Proposal
from runner.search.choose import choose_search
from runner.space.distribution import CENTRED_STEPS
from trainables.config.base import flatten
from trainables.config.preparation import PreparationConfig
from trainables.config.trial import TrialConfig
from trainables.data.data_table import read_understood
from trainables.data.describe import describe_images, describe_origin
from trainables.data.images import ImageSet
from trainables.datasets.load import load_images
from trainables.errors import ObjectMissing, StoreError
from trainables.results.checkpoint import committed_epochs
from trainables.results.record import EpochResult
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import check_format, get_json
from trainables.store.open import open_store

CHECKPOINT_OBJECTS = 7
ROUND_TRIPS = 5

READERS = 10
"""Trials that are listed in the store in parallel: in a bucket each takes a round trip."""


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a plan."""

    config: TrialConfig
    stored_epochs: int
    """Epochs that the store has and that will not be trained again."""
    ended: bool
    """Whether the run has recorded its end."""


@dataclass(frozen=True)
class Plan:
    """What `caucus run` would do with a sweep."""

    run: str
    data_id: str
    understood: tuple[str, ...]
    """How the data was understood, in lines for people: see `describe_images`."""
    spec: SweepSpec
    trials: list[PlannedTrial]
    """Trials that are known before anything else is trained: with stages, those of the present stage and before."""
    expected_epochs: float
    """Epochs of these trials to train, if early stopping lets the intended share pass."""
    slots: int
    forecast: Forecast
    epoch_times: EpochTimes | None
    """The epoch times behind the forecast; None if no epoch was ever measured, and then the forecast has no seconds."""
    failure: str = ""
    """Why the probe failed; "" if it did not."""
    price: float | None = None
    """Price of all nodes for an hour, if the sweep has a price or a budget of money."""
    slot: Slot | None = None
    """The slot of a trial on this machine; None if it has no room for one."""
    cluster_slot: Slot | str | None = None
    """What a trial will occupy on the cluster of the cluster file beside the sweep, or why none of its nodes can hold one; None where
    there is no such file."""

    def money(self, seconds: float | None) -> float | None:
        """The cost of so many seconds; None without a price."""
        return None if seconds is None or self.price is None else seconds / HOUR_S * self.price

    def to_dict(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {
            "run": self.run,
            "data_id": self.data_id,
            "data": list(self.understood),
            "search": self.spec.search.method,
            "scheduler": self.spec.scheduler.method,
            "max_epochs": self.spec.scheduler.max_epochs,
            "trials": {
                "planned": len(self.trials),
                "ended": sum(trial.ended for trial in self.trials),
                "new": sum(not trial.ended and not trial.stored_epochs for trial in self.trials),
            },
            "epochs": {
                "stored": sum(trial.stored_epochs for trial in self.trials),
                "expected": round(self.expected_epochs, 1),
            },
            "slot": self.slot and self.slot.describe(),
            "cluster_slot": self.cluster_slot.describe() if isinstance(self.cluster_slot, Slot) else self.cluster_slot,
            "forecast": self._forecast_to_json(),
            "stages": [self._stage_to_json(stage, method) for stage, method in self.spec.search.parts],
            "caps": self._caps_to_json(),
            **({"second_stage": second} if (second := self.second_stage()) else {}),
            "list": [
                {
                    "trial_id": trial.config.trial_id,
                    "stored_epochs": trial.stored_epochs,
                    "ended": trial.ended,
                    "config": flatten(trial.config.model_dump(mode="json")),
                }
                for trial in self.trials
            ],
        }

    def second_stage(self) -> dict[str, int] | None:
        """Trials and epochs with pseudo-labels at most, beside the forecast: which ones follows from the first stage.

        None if the sweep asks for none, or if they are among `trials` already.
        """
        config, ensemble = self.spec.pseudo_labels, self.spec.ensemble
        if config is None or any(trial.config.pseudo_table for trial in self.trials):
            return None
        first = max(len(self.trials), self.forecast.middle.trials)
        team = {"best": 1, "top": ensemble.size, "greedy": ensemble.size}.get(ensemble.select, first)
        trials = min(first, config.trials or team)
        return {"trials": trials, "epochs": trials * stage_scheduler(self.spec, PSEUDO).max_epochs}

    def _forecast_to_json(self) -> dict[str, Any]:
        """The forecast as JSON: seconds are null if there are none, and `money` is there if a price is."""
        found = self.forecast
        seconds_by_name = {"seconds": found.seconds, "low_s": found.low_s, "high_s": found.high_s}
        money = {name.removesuffix("_s"): self.money(seconds) for name, seconds in seconds_by_name.items()}
        return {
            **{name: seconds and round(seconds, 1) for name, seconds in seconds_by_name.items()},
            "epochs": found.middle.epochs,
            "low_epochs": found.low_epochs,
            "high_epochs": found.high_epochs,
            "trials": found.middle.trials,
            "slots": self.slots,
            "probed": self.epoch_times.probed if self.epoch_times else 0,
            "measured_before": self.epoch_times.measured_before if self.epoch_times else 0,
            "failure": self.failure,
            **({} if self.price is None else {"money": {"expected": money.pop("seconds"), **money}}),
        }

    def _stage_to_json(self, stage: str, method: MethodConfig) -> dict[str, Any]:
        scheduler = stage_scheduler(self.spec, stage)
        trials, epochs = self.forecast.middle.stages.get(stage, (0, 0))
        return {
            "stage": stage,
            "method": method.method,
            "points": count_points(method) if method.method in MESHES else None,
            "around": {key: how.around for key, how in method.space.items() if how.around},
            "trials": trials,
            "epochs": epochs,
            "scheduler": scheduler.method,
            "max_epochs": scheduler.max_epochs,
        }

    def _caps_to_json(self) -> dict[str, Any]:
        middle = self.forecast.middle
        return {
            **self.spec.budget.model_dump(mode="json", exclude_none=True),
            "reached": middle.cap,
            "trials_begun": middle.begun,
            "trials_ended": middle.ended,
        }


def plan_sweep(
    spec: SweepSpec,
    run: str | None,
    measure: bool | None = None,
    slots: int | None = None,
    nodes: int = 1,
    sweep: str | None = None,
    images: ImageSet | None = None,
) -> Plan:
    """The plan of a sweep on `slots` slots (None: those of this machine) of `nodes` nodes.

    `measure` says whether to probe: None where the store does not tell how long an epoch takes. The images are read
    where a probe needs them, and where the store does not know their fingerprint from an earlier run. `sweep` is the
    path of the sweep file, beside which a cluster file may lie. `images` are those of `spec.data`, where a program has them
    in memory. Raises `CaucusError` where the sweep cannot be run.
    """
    check_plugins(spec)
    store = open_store(spec.store.uri, spec.store.endpoint_url)
    store.check()
    is_known = check_format(store)
    price = find_price(spec)
    data_id, images = (images.data_id, images) if images else _find_data(store, spec, is_known)
    if images:
        check_pixels(spec, images.pixels)
    spec, _ = pin_pretrained_weights(spec, store)
    run = run or spec.run_id(data_id)
    journals = _read_journals(store, spec.name)
    events = []
    if run in journals:
        events = journals[run].events
        check_understood(store, spec.name, run, journals[run], RunState(events))
    former = read_former(store, spec, data_id)
    trained = [] if events else read_trained(store, spec, data_id)
    state = RunState(events)
    configs = _list_trials(spec, data_id, events, state, former, trained)
    stored = _read_stored(store, configs)
    trials = [
        PlannedTrial(config, len(stored[config.trial_id]), _has_ended(state, config.trial_id)) for config in configs
    ]
    slots = slots or count_slots(spec.resources)
    sweep_state = SweepState(
        spec,
        lambda changed: choose_search(changed, data_id, former, trained),
        slots,
        events,
        stored,
        _known_results(journal.events for journal in journals.values()),
        None if price is None else price * nodes,
    )
    history = History(slots, versions(), data_id)
    for journal in journals.values():
        history.read(journal.events)
    epoch_times, failure = _find_epoch_times(sweep_state, history, measure, images, store)
    expected = sum(
        max(0.0, expected_epochs(spec.scheduler) - trial.stored_epochs) for trial in trials if not trial.ended
    )
    is_paid = spec.budget.price is not None or spec.budget.money is not None
    return Plan(
        run=f"{spec.name}/{run}",
        data_id=data_id,
        understood=(
            *([*describe_images(images), *describe_origin(images)] if images else read_understood(store, data_id)),
            *_count_folds(spec),
        ),
        spec=spec,
        trials=trials,
        expected_epochs=expected,
        slots=slots,
        forecast=make_forecast(sweep_state, epoch_times),
        epoch_times=epoch_times,
        failure=failure,
        price=sweep_state.price if is_paid else None,
        slot=find_slot_here(spec.resources),
        cluster_slot=_find_cluster_slot(spec, sweep),
    )


def _count_folds(spec: SweepSpec) -> list[str]:
    if spec.data.folds is None or spec.data.fold is not None:
        return []
    return [f"this is the plan of fold 1: data.folds makes {spec.data.folds} such runs, one after the other"]


def _find_cluster_slot(spec: SweepSpec, sweep: str | None) -> Slot | str | None:
    meant = read_neighbour(sweep)
    try:
        return choose_slot(spec.resources, [], replace(meant, is_all=True), can_grow=True) if meant else None
    except NoSlot as error:
        return str(error)


def count_points(method: MethodConfig) -> int:
    """Points of a mesh, before it grows; repeats count each."""
    points = ((how.steps or CENTRED_STEPS) if how.around else how.points for how in method.space.values())
    return math.prod(points) * method.repeats


def _find_epoch_times(
    sweep_state: SweepState, history: History, measure: bool | None, images: ImageSet | None, store: Store
) -> tuple[EpochTimes | None, str]:
    """The pace, and what went wrong with its probe."""
    outlook = dry_run(sweep_state)
    if not outlook.epochs:
        return EpochTimes({}, {}, Overheads(), 0.5), ""
    found = {name_architecture(config): config for config in outlook.configs}
    measured: Probe | None = None
    if measure or (measure is None and set(found) - set(history.epochs_s)):
        unmeasured = [
            config for config in outlook.configs if measure or name_architecture(config) not in history.epochs_s
        ]
        images = images or load_images(sweep_state.spec.data)
        resources = sweep_state.spec.resources
        here = min(sweep_state.slots, count_slots(resources))
        measured = probe(images.arrays, unmeasured, here, resources, count_gpus())
    epoch_times = find_epoch_times(
        history, measured, found, is_new=measure is True, commit_s=_commit_s(store) if measured else 0.0
    )
    return epoch_times, measured.failure if measured else ""


def _commit_s(store: Store) -> float:
    """What a bucket takes for a checkpoint of a small net: a round trip for each of its objects, one after the other."""
    if "://" not in store.uri:
        return 0.0
    trips_s = []
    for _ in range(ROUND_TRIPS):
        start_s = time.monotonic()
        store.stat(layout.FORMAT_KEY)
        trips_s.append(time.monotonic() - start_s)
    return CHECKPOINT_OBJECTS * statistics.median(trips_s)


def _find_data(store: Store, spec: SweepSpec, is_known: bool) -> tuple[str, ImageSet | None]:
    """The fingerprint of the images, and the images if they had to be read for it. `is_known`: the store is one of Caucus."""
    if is_known and (known := _known_data_id(store, spec)):
        return known, None
    images = load_images(spec.data)
    return images.data_id, images


def _known_data_id(store: Store, spec: SweepSpec) -> str | None:
    """The fingerprint that the sweep's latest run found for the same `data`, so that a plan needs no images."""
    try:
        latest = read_latest(store, spec.name)
        head = get_json(store, layout.run_key(spec.name, latest, layout.SWEEP))
    except (ObjectMissing, StoreError):
        return None
    recorded = head.get("spec")
    same = isinstance(recorded, dict) and _images_of(recorded.get("data")) == _images_of(
        spec.data.model_dump(mode="json")
    )
    return str(head["data_id"]) if same and "data_id" in head else None


def _images_of(data: object) -> object:
    """The keys of `data` that decide which images there are."""
    if not isinstance(data, dict):
        return data
    return {key: value for key, value in data.items() if key not in PreparationConfig.model_fields}


def _read_journals(store: Store, name: str) -> dict[str, Journal]:
    """The journals of all runs of a sweep, by run; a damaged one up to its damage, as a run would go on from it."""
    return {run: Journal(store, name, run, repair=True) for run in store.folders(layout.sweep_prefix(name))}


def _list_trials(
    spec: SweepSpec,
    data_id: str,
    events: Iterable[Event],
    state: RunState,
    former: Former | None,
    trained: list[TrialConfig],
) -> list[TrialConfig]:
    """The trials on record that are still wanted, and those that the search would plan next."""
    search = choose_search(spec, data_id, former, trained)
    for event in events:
        search.observe(event)
    step = search.step(state)
    found = {name: record.config for name, record in state.trials.items() if search.wants(name)}
    found |= {config.trial_id: config for config in step.trials} if isinstance(step, Proposal) else {}
    return list(found.values())


def _read_stored(store: Store, configs: list[TrialConfig]) -> dict[str, frozenset[int]]:
    """Committed epochs by trial."""
    names = [config.trial_id for config in configs]
    with ThreadPoolExecutor(READERS) as readers:
        return dict(zip(names, readers.map(lambda name: frozenset(committed_epochs(store, name)), names), strict=True))


def _known_results(journals: Iterable[Iterable[Event]]) -> Mapping[str, dict[int, EpochResult]]:
    known: dict[str, dict[int, EpochResult]] = {}
    for events in journals:
        for event in events:
            if isinstance(event, EpochReported):
                known.setdefault(event.trial_id, {})[event.result.epoch] = event.result
    return known


def _has_ended(state: RunState, trial_id: str) -> bool:
    return trial_id in state.trials and state.has_ended(trial_id)
