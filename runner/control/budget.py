"""What a run may cost, and what it has cost so far."""

from __future__ import annotations

import math
from dataclasses import dataclass

from runner.config.duration import show_duration
from runner.config.run import BudgetConfig
from runner.config.sweep import SweepSpec
from runner.journal.log import RunLog
from runner.journal.state import RunState

HOUR_S = 3600.0


@dataclass(frozen=True)
class Budget:
    """The caps of a sweep, with the price that a money cap needs. Trials are counted where they begin (`TrialController`)."""

    config: BudgetConfig
    price: float | None
    """Price of a node for an hour."""

    def spent(self, state: RunState, elapsed_s: float) -> str:
        """The cap that has been reached, as text; "" while none has. The wall time is checked by the caller."""
        caps = self.config
        if caps.epochs is not None and state.all_epochs_trained >= caps.epochs:
            return f"budget.epochs is {caps.epochs}"
        if caps.slot_hours is not None and state.all_busy_s >= caps.slot_hours * HOUR_S:
            return f"budget.slot_hours is {caps.slot_hours:g}"
        if caps.money is not None and self.cost(state, elapsed_s) >= caps.money:
            return f"budget.money is {caps.money:g}"
        return ""

    def cost(self, state: RunState, elapsed_s: float) -> float:
        """Money so far: node-hours until `elapsed_s` times the price; 0 without a price."""
        since_s = max(0.0, elapsed_s - state.elapsed_s)
        return (self.price or 0.0) * (state.node_s + since_s * state.nodes) / HOUR_S

    def seconds_left(self, state: RunState, slots: int) -> float | None:
        """A bound on the seconds that time, slot-hours and money leave on `slots` slots; None where nothing bounds them."""
        caps, bounds = self.config, []
        if caps.wall is not None:
            bounds.append(caps.wall - state.elapsed_s)
        if caps.slot_hours is not None and slots:
            bounds.append((caps.slot_hours * HOUR_S - state.all_busy_s) / slots)
        if caps.money is not None and self.price:
            bounds.append((caps.money / self.price * HOUR_S - state.node_s) / max(1, state.nodes))
        return max(0.0, min(bounds)) if bounds else None


def describe_budget(config: BudgetConfig) -> str:
    """The caps of a sweep as text; "" if there are none.

    >>> describe_budget(BudgetConfig(wall=600, epochs=50))
    '10 m 0 s, 50 epochs'
    """
    caps = [] if config.wall is None else [show_duration(config.wall)]
    for cap, unit in ((config.slot_hours, "slot-hours"), (config.trials, "trials"), (config.epochs, "epochs")):
        caps += [] if cap is None else [f"{cap:g} {unit}"]
    return ", ".join(caps + ([] if config.money is None else [f"{config.money:g} in money"]))


CLOSING_SHARE, CLOSING_S = 0.25, 20.0
"""This share of a wall budget, and at most so many seconds, is reserved for stopping, selection, voting and the report."""


def time_left_s(spec: SweepSpec, log: RunLog) -> float:
    """Seconds of the wall budget that are left for training; infinite without a budget."""
    if spec.budget.wall is None:
        return math.inf
    return spec.budget.wall - min(CLOSING_SHARE * spec.budget.wall, CLOSING_S) - log.elapsed_s
