"""A run on a simulated clock: the real search, scheduler and controller, and simulated trials in place of training.

`caucus plan` simulates a sweep to say how long it will take; the simulation in benchmarks/ runs thousands of
trials on recorded learning curves.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runner.config.scheduler import SchedulerConfig
from runner.config.sweep import SweepSpec
from runner.control.budget import Budget
from runner.control.controller import TrialController
from runner.control.task import RangeTask, Task, TrialTask
from runner.journal.events import Event
from runner.journal.journal import Journal, UnwrittenJournal
from runner.journal.log import Listener, RunLog
from runner.journal.state import RunState
from runner.schedulers.base import Scheduler
from runner.schedulers.choose import choose_scheduler
from runner.search.base.protocol import Search
from trainables.config.trial import TrialConfig
from trainables.results.record import OUT_OF_BUDGET, EpochResult

EpochSimulator = Callable[[TrialConfig, int], EpochResult | None]
"""Returns the result of a trial's epoch, None if the trial diverges."""


@dataclass(frozen=True)
class Simulation:
    """How a run would have gone."""

    state: RunState
    elapsed_s: float
    """Seconds on the simulated clock, from the first task to the last."""
    events: list[Event]


@dataclass
class Clock:
    """Simulated seconds."""

    now_s: float = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


def simulate(
    spec: SweepSpec,
    search: Search,
    slots: int,
    simulate_epoch: EpochSimulator,
    journal: Journal | UnwrittenJournal | None = None,
    trial_start_s: float = 0.0,
    range_test_s: float = 0.0,
    until_s: float = math.inf,
    listeners: Iterable[Listener] = (),
    choose: Callable[[SchedulerConfig, int], Scheduler] = choose_scheduler,
) -> Simulation:
    """Run the sweep's controller on `slots` simulated slots; `simulate_epoch` returns the result and duration of each epoch.

    Continues from the events in `journal` (by default a new one in memory); a slot takes `trial_start_s` to begin a trial
    and `range_test_s` for a range test. Ends as the run would: with the last trial, at `until_s`, or with the budget.
    """
    clock = Clock()
    log = RunLog(journal or UnwrittenJournal(), list(listeners), clock)
    log.open({}, slots)
    controller = TrialController(spec, search, log, choose=choose)
    budget = Budget(spec.budget, spec.budget.price)
    wall_s = min(until_s, spec.budget.wall or math.inf)
    idle = slots
    order = 0
    due: list[tuple[float, int, Task, int, EpochResult | None]] = []

    def begin(task: Task, epoch: int, delay_s: float) -> None:
        """Put the end of an epoch, or of a range test, on the clock."""
        nonlocal order
        order += 1
        if isinstance(task, RangeTask):
            heapq.heappush(due, (clock.now_s + delay_s + range_test_s, order, task, 0, None))
            return
        result = simulate_epoch(task.trial, epoch)
        busy_s = result.busy_s if result else 0.0
        heapq.heappush(due, (clock.now_s + delay_s + busy_s, order, task, epoch, result))

    while True:
        while idle and not isinstance(task := controller.next_task(), str):
            idle -= 1
            if isinstance(task, TrialTask):
                controller.start(task.name)
                begin(task, task.after_epoch + 1, trial_start_s)
            else:
                begin(task, 0, trial_start_s)
        if not due or due[0][0] > wall_s or budget.spent(log.state, clock.now_s):
            break
        clock.now_s, _, task, epoch, result = heapq.heappop(due)
        if isinstance(task, RangeTask):
            controller.fail_range_test(task.key, "this is a simulation")
        elif result is None:
            controller.end(task.name, "diverged", f"the loss is nan in epoch {epoch}")
        elif controller.report(task.name, result, trained=True):
            begin(task, epoch + 1, 0.0)
            continue
        controller.release(task.name)
        idle += 1
    if due:
        clock.now_s = max(clock.now_s, min(wall_s, due[0][0]))
        for _, _, task, epoch, _ in due:
            if isinstance(task, TrialTask):
                controller.end(task.name, "stopped", f"{OUT_OF_BUDGET} in epoch {epoch}", by_budget=True)
    return Simulation(log.state, clock.now_s, log.events)
