"""Asynchronous successive halving that stops trials and never pauses them (Li et al. 2020; the stopping form, as in Ray Tune).

Unlike Ray Tune's `AsyncHyperBandScheduler`:

- The first trial at a rung is not immortal: each later epoch of a trial asks again whether its last rung, as filled as
  it is by now, still lets it pass.
- Brackets are drawn from a seed and the trial's name, and one that could stop nothing is refused.
- A validation accuracy that is not a number never passes.
- A trial that skipped a rung, because it began after it, is not put on it afterwards.
- The rungs can be rebuilt from the journal, so that a new driver decides as the killed one would have.
- Each decision has a reason: `pruned at rung 2, rank 5 of 6`.
"""

from __future__ import annotations

import math
from itertools import accumulate

from typing_extensions import override

from runner.schedulers.base import SchedulerDecision, Unpaused
from runner.schedulers.rung import Rung, rung_epochs
from runner.space.draws import share_of


class Asha(Unpaused):
    """Ends trials whose validation accuracy is not among the best one in `reduction` at their last rung.

    With `brackets`, the trials of bracket 0 meet their first rung at `grace_epochs`, those of bracket 1 `reduction`
    times later, and so on. Raises `ValueError` where a bracket would meet none before `max_epochs`.
    """

    def __init__(self, max_epochs: int, reduction: int, grace_epochs: int, brackets: int = 1, seed: int = 0) -> None:
        latest = grace_epochs * reduction ** (brackets - 1)
        if brackets < 1 or (brackets > 1 and latest >= max_epochs):
            raise ValueError(
                f"brackets is {brackets}, but the first rung of each must come before max_epochs, which is "
                f"{max_epochs} (grace_epochs is {grace_epochs}, reduction is {reduction}): "
                f"{'set brackets to 1 or more' if brackets < 1 else 'lower brackets'}"
            )
        self._reduction = reduction
        self._seed = seed
        self._brackets: list[dict[int, Rung]] = []
        """The rungs of each bracket, by epoch."""
        for bracket in range(brackets):
            epochs = rung_epochs(grace_epochs * reduction**bracket, reduction, max_epochs)
            of_bracket = f" of bracket {bracket}" if brackets > 1 else ""
            self._brackets.append({at: Rung(f"rung {number}{of_bracket}") for number, at in enumerate(epochs, start=1)})
        self._last: dict[str, Rung] = {}
        """The last rung that each trial came to."""

    @property
    def rungs(self) -> list[list[int]]:
        """The epochs of the rungs of each bracket."""
        return [list(bracket) for bracket in self._brackets]

    def bracket_of(self, trial_id: str) -> int:
        """The trial's bracket: a seeded draw, where one with a rung more is e times as likely, as in Ray Tune."""
        if len(self._brackets) == 1:
            return 0
        heaps = list(accumulate(math.exp(len(bracket) - len(self._brackets[0])) for bracket in self._brackets))
        drawn = share_of(self._seed, 0, f"bracket/{trial_id}") * heaps[-1]
        return next(number for number, heap in enumerate(heaps) if drawn < heap)

    @override
    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        """Add a result to its rung, if the epoch is one."""
        rung = self._brackets[self.bracket_of(trial_id)].get(epoch)
        if rung is not None:
            rung.add(trial_id, accuracy)
            self._last[trial_id] = rung

    @override
    def decide(self, trial_id: str) -> SchedulerDecision | None:
        """Whether its last rung still lets it pass. Accuracies equal to the cut-off pass."""
        rung = self._last.get(trial_id)
        if rung is None or rung.passes(trial_id, self._reduction):
            return None
        return SchedulerDecision("pruned", f"pruned at {rung.describe(trial_id)}")
