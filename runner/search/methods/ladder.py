"""A ladder of capacity: nets that grow step by step until the gain no longer pays.

Each step is trained with several seeds. A step pays where its mean validation accuracy, or the merit by the metric that the
sweep asks for, lies above that of the last step
that paid by more than seeds alone explain, and by `gain` at least. After a step that does not pay, `patience` further
ones are tried: a gain that needs two steps at once is not missed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from typing_extensions import override

from ensembles.analysis.varied_keys import show_value
from runner.journal.events import Event
from runner.journal.state import RunState
from runner.search.base.decisions import LadderEnded, StepEnded
from runner.search.base.protocol import Decide, Over, Plan, Search, Step, Wait
from runner.search.base.stage_context import Progress, StageContext, missing
from runner.space.distribution import Value
from trainables.metric import describe_merit
from trainables.results.record import metric_of

ROUNDING = 1e-12
"""A gain of exactly `gain` pays, whatever its last bit."""


@dataclass(frozen=True)
class StepEvaluation:
    """Whether a step pays. Accuracies are shares of 1."""

    pays: bool
    accuracy: float | None
    """Mean over seeds of the best validation accuracy; None where no seed came to the end."""
    seeds: int
    """Seeds that came to the end."""
    gained: float | None
    """Gain in accuracy over the last step that paid; None if there is none."""
    needed: float
    """The gain that a step needs in order to pay."""
    noise: float | None
    """Standard deviation between seeds, pooled over the steps so far; None if no step has two seeds that ended."""


class CapacityLadderSearch(Search):
    """The steps in order, until no more pay. Steps that are trained whatever the results are planned at once, so that slots stay busy."""

    def __init__(self, scope: StageContext) -> None:
        self._scope = scope
        self._progress = Progress(scope.stage)
        self._steps = [scope.trials(values) for values in scope.method.steps]
        self._paid = 0
        """The last step that paid. The first one has nothing to be compared with, so it always does."""
        self._evaluated: list[StepEnded] = []
        self._is_over = False

    @property
    def chosen(self) -> dict[str, Value]:
        """The values of the last step that paid."""
        return self._scope.method.steps[self._paid]

    @property
    def chosen_trials(self) -> tuple[str, ...]:
        """The ids of its trials."""
        return tuple(trial.trial_id for trial in self._steps[self._paid])

    @override
    def step(self, state: RunState) -> Step:
        """The trials of all steps that are sure to be trained; as each step ends, whether it pays; at last, where the ladder ends."""
        if self._is_over:
            return Over()
        sure = self._steps[: self._paid + 2 + self._scope.method.patience]
        if left := missing((trial for trials in sure for trial in trials), self._progress):
            return Plan(left, stage=self._scope.stage)
        number = len(self._evaluated)
        if number == len(sure):
            return self._conclude(state)
        if not self._progress.have_ended(trial.trial_id for trial in self._steps[number]):
            return Wait()
        return self._evaluate(number, state)

    @override
    def observe(self, event: Event) -> None:
        self._progress.observe(event)
        if step := StepEnded.read(event, self._scope.stage):
            self._paid = len(self._evaluated) if step.pays else self._paid
            self._evaluated.append(step)
        elif LadderEnded.read(event, self._scope.stage):
            self._is_over = True

    @override
    def wants(self, trial_id: str) -> bool:
        return True

    def _evaluate(self, number: int, state: RunState) -> Decide:
        # Only steps that were evaluated before count, not all that happen to have ended by now: the decision is the same
        # in whatever order slots become free.
        seen = [self._accuracies(step, state) for step in range(number + 1)]
        found = evaluate_step(seen, self._paid, self._scope.method.gain)
        parameters = self._parameters(number, state)
        decision = StepEnded(
            step=number + 1,
            pays=found.pays,
            parameters=parameters,
            accuracy=found.accuracy,
            gained=found.gained,
            needed=found.needed,
            noise=found.noise,
        )
        reason, best = self._describe(number, found, parameters, state), self._best_trial(number, state)
        return decision.record(reason, stage=self._scope.stage, trial_id=best)

    def _conclude(self, state: RunState) -> Decide:
        accuracy = self._evaluated[self._paid].accuracy
        chosen = _with_size(self._name(self._paid), self._evaluated[self._paid].parameters)
        chosen += "" if accuracy is None else f", {self._show(accuracy, state)}"
        after = self._evaluated[self._paid + 1 :]
        if accuracy is None:
            reason = "no step came to the end: see why its trials failed"
        elif not after:
            reason = f"the last step still pays: {chosen}; add steps to see where the gain ends"
        else:
            gained = " and ".join(_points(decision.gained) for decision in after)
            what = f"step{'s' if len(after) > 1 else ''} {' and '.join(str(one.step) for one in after)}"
            needed = " and ".join(_points(decision.needed) for decision in after)
            reason = f"growing pays up to {chosen}; {what} gained {gained} points, where {needed} would have paid"
            if self._paid + len(after) < len(self._steps) - 1:
                reason += f"; step {self._paid + len(after) + 2} and what is larger is not trained"
        best = self._best_trial(self._paid, state)
        decision = LadderEnded(step=self._paid + 1, accuracy=accuracy, values=self.chosen)
        return decision.record(reason, stage=self._scope.stage, trial_id=best)

    def _accuracies(self, number: int, state: RunState) -> list[float]:
        """The best merits on validation of the seeds of a step that came to the end: accuracies, or what the sweep asks for."""
        records = [state.trials[trial.trial_id] for trial in self._steps[number]]
        return [record.best.merit for record in records if record.state == "finished" and record.best]

    def _show(self, accuracy: float, state: RunState) -> str:
        """A mean over seeds in the metric that the sweep asks for."""
        return describe_merit(metric_of(state.trials.values()), accuracy)

    def _best_trial(self, number: int, state: RunState) -> str | None:
        records = [state.trials[trial.trial_id] for trial in self._steps[number]]
        ended = [record for record in records if record.state == "finished" and record.best]
        best = max(ended, key=lambda at: at.best.merit if at.best else 0.0, default=None)
        return best.trial_id if best else None

    def _name(self, number: int) -> str:
        values = ", ".join(f"{key} {show_value(value)}" for key, value in self._scope.method.steps[number].items())
        return f"step {number + 1} ({values})"

    def _parameters(self, number: int, state: RunState) -> int | None:
        """Parameters of the nets of a step; None if no trial has measured its cost."""
        records = [state.trials[trial.trial_id] for trial in self._steps[number]]
        return next((record.cost.parameters for record in records if record.cost), None)

    def _describe(self, number: int, found: StepEvaluation, parameters: int | None, state: RunState) -> str:
        name, repeats = _with_size(self._name(number), parameters), self._scope.method.repeats
        if found.accuracy is None:
            return f"{name} does not pay: none of its trials came to the end"
        seeds = f" over {found.seeds} seeds" if found.seeds > 1 else ""
        lost = f", {repeats - found.seeds} of {repeats} lost" if found.seeds < repeats else ""
        reached = f"{name} reaches {self._show(found.accuracy, state)}{seeds}{lost}"
        if found.gained is None:
            return f"{reached}: what larger ones are measured by"
        why = "search.gain" if found.needed == self._scope.method.gain else f"seeds scatter by {_points(found.noise)}"
        verdict = "pays" if found.pays else "does not pay"
        return f"{reached}, {_signed(found.gained)} points to step {self._paid + 1}: {verdict}, {_points(found.needed)} are needed ({why})"


def evaluate_step(seen: Sequence[Sequence[float]], paid: int, gain: float) -> StepEvaluation:
    """Whether the last step of `seen` pays; `paid` is the last one that did.

    `seen` has a step's validation accuracies, one a seed that came to the end. What is needed is `gain` (a share of 1),
    or the upper 95 % quantile of what two equal steps differ by (Student 1908, one-sided, the deviation within steps
    pooled over all of them), whichever is more; without two seeds anywhere, `gain` alone. Each step is tested alone:
    of twenty that bring nothing, one seems to pay.

    >>> evaluate_step([[0.90, 0.92], [0.95, 0.97]], 0, 0.002).pays
    True
    >>> evaluate_step([[0.90, 0.92], [0.91, 0.93]], 0, 0.002).pays
    False
    """
    newest, before = seen[-1], seen[paid]
    degrees = sum(max(0, len(step) - 1) for step in seen)
    squares = sum((value - fmean(step)) ** 2 for step in seen if step for value in step)
    noise = math.sqrt(squares / degrees) if degrees else None
    accuracy = fmean(newest) if newest else None
    if accuracy is None or len(seen) - 1 == paid or not before:
        pays = accuracy is not None or len(seen) - 1 == paid
        return StepEvaluation(pays, accuracy, len(newest), None, gain, noise)
    needed = gain
    if noise is not None:
        from scipy.special import stdtrit  # a light command does without scipy

        scatter = float(stdtrit(degrees, 0.95)) * noise * math.sqrt(1 / len(newest) + 1 / len(before))
        needed = max(gain, scatter)
    gained = accuracy - fmean(before)
    pays = gained > ROUNDING and gained >= needed - ROUNDING
    return StepEvaluation(pays, accuracy, len(newest), gained, needed, noise)


def _with_size(name: str, parameters: int | None) -> str:
    return name if parameters is None else f"{name} with {parameters:,} parameters"


def _points(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.2f}"


def _signed(share: float) -> str:
    return f"{100 * share:+.2f}"
