"""Times of the runs in a store: how long an epoch of each architecture took, and the overheads."""

from __future__ import annotations

import statistics
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

from runner.control.architecture import name_architecture
from runner.journal.events import (
    EpochReported,
    Event,
    RangeTested,
    RunClosed,
    RunOpened,
    TrialEnded,
    TrialPaused,
    TrialPlanned,
    TrialStarted,
)
from trainables.config.trial import TrialConfig
from trainables.results.newer_trial import NewerTrial, read_trial

LEAST_EPOCHS = 3
"""An architecture counts as measured if so many of its epochs are recorded."""


class History:
    """A fold over the events of runs. Only runs on the same data, with as many slots and the same versions count.

    The machine is not recorded: slots and versions stand for it.
    """

    def __init__(self, slots: int, versions: Mapping[str, str], data_id: str) -> None:
        self._data_id = data_id
        self._slots = slots
        self._versions = dict(versions)
        self._epochs_s: dict[str, list[float]] = defaultdict(list)
        """Seconds from one epoch to the next, by architecture."""
        self._configs: dict[str, TrialConfig] = {}
        """A trial of each architecture, by architecture."""
        self._starts_s: list[float] = []
        self._switches_s: list[float] = []
        self._closings_s: list[float] = []
        self._range_tests_s: list[float] = []

    def read(self, events: Iterable[Event]) -> None:
        """Add the events of one run."""
        names: dict[str, str] = {}
        counts, opened_s, now_s, last_s = False, 0.0, 0.0, 0.0
        is_first = True
        heard_s: dict[str, float] = {}
        """When the newest epoch of each running trial ended, by trial id."""
        freed_s: deque[float] = deque()
        taken_s: dict[str, float | None] = {}
        """When the slot of each trial that has no epoch in this execution had become free, by trial id."""
        for event in events:
            match event:
                case TrialPlanned():
                    try:
                        config = read_trial(event.trial_id, event.config)
                    except ValueError:
                        continue
                    if isinstance(config, NewerTrial):  # its net cannot be built by this version
                        continue
                    if config.data_id != self._data_id:
                        return
                    names[event.trial_id] = name_architecture(config)
                    self._configs.setdefault(names[event.trial_id], config)
                case RunOpened():
                    counts = event.slots == self._slots and event.versions == self._versions
                    opened_s, is_first = now_s, True
                    heard_s, freed_s, taken_s = {}, deque(), {}
                case TrialStarted():
                    heard_s.pop(event.trial_id, None)
                    taken_s[event.trial_id] = freed_s.popleft() if freed_s else None
                case EpochReported() if counts:
                    busy_s = event.result.busy_s
                    since_s = heard_s.get(event.trial_id)
                    free_s = taken_s.pop(event.trial_id, None)
                    if event.trained and since_s is not None and event.trial_id in names:
                        self._epochs_s[names[event.trial_id]].append(max(busy_s, event.elapsed_s - since_s))
                    if event.trained and free_s is not None:
                        self._switches_s.append(max(0.0, event.elapsed_s - free_s - busy_s))
                    if event.trained and is_first:
                        self._starts_s.append(max(0.0, event.elapsed_s - opened_s - busy_s))
                    heard_s[event.trial_id] = last_s = event.elapsed_s
                    is_first = False
                case TrialEnded() | TrialPaused():
                    freed_s.append(event.elapsed_s)
                case RangeTested() if counts:
                    self._range_tests_s.append(event.busy_s)
                case RunClosed() if counts and not is_first and event.state == "done":
                    self._closings_s.append(event.elapsed_s - last_s)
                case _:
                    pass
            now_s = event.elapsed_s

    @property
    def epochs_s(self) -> dict[str, float]:
        """Seconds from one epoch to the next, by architecture, for those that have enough recorded epochs."""
        enough = {name: found for name, found in self._epochs_s.items() if len(found) >= LEAST_EPOCHS}
        return {name: _typical(found) for name, found in enough.items()}

    @property
    def configs(self) -> dict[str, TrialConfig]:
        """A trial of each recorded architecture."""
        return self._configs

    @property
    def start_s(self) -> float | None:
        """From the first request to the store to the first step; None if no run has recorded it."""
        return _median(self._starts_s)

    @property
    def switch_s(self) -> float | None:
        """From the end of a trial to the first step of the next, and the extra time of its first epoch."""
        return _median(self._switches_s)

    @property
    def closing_s(self) -> float | None:
        """From the last epoch to the report."""
        return _median(self._closings_s)

    @property
    def range_test_s(self) -> float | None:
        """Duration of one range test."""
        return _median(self._range_tests_s)


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _typical(values: Sequence[float]) -> float:
    """The trimmed mean: without the tenth at each end, which something else may have delayed."""
    ordered = sorted(values)
    cut = len(ordered) // 10
    return statistics.mean(ordered[cut : len(ordered) - cut])
