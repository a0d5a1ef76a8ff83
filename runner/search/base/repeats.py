"""Which repeats of the recorded configurations are still to be planned."""

from __future__ import annotations

from collections.abc import Callable

from runner.search.base.best import configuration_of
from runner.search.base.stage_context import StageContext, values_of
from trainables.config.trial import TrialConfig


class Repeats:
    """The seeds that a configuration lacks: of a plan that was cut short, or of an earlier run with fewer `repeats`. A fold."""

    def __init__(self, scope: StageContext) -> None:
        self._scope = scope
        self._seen: set[str] = set()
        """Recorded configurations."""
        self._left: dict[str, dict[str, TrialConfig]] = {}
        """Trials that are not recorded, by configuration and id; of configurations that lack some, which are few at any time."""

    def observe(self, trial: TrialConfig) -> None:
        """A trial of the stage was recorded."""
        if self._scope.method.repeats == 1:
            return
        name = configuration_of(trial)
        if name not in self._seen:
            self._seen.add(name)
            values = self._scope.active(values_of(trial, self._scope.space))
            all_of_it = {each.trial_id: each for each in self._scope.trials(values)}
            # What the sweep would not make of these values came from elsewhere, and has no repeats here.
            self._left[name] = all_of_it if trial.trial_id in all_of_it else {}
        left = self._left.get(name, {})
        left.pop(trial.trial_id, None)
        if not left:
            self._left.pop(name, None)

    def missing(self, is_wanted: Callable[[str], bool] = lambda name: True) -> tuple[TrialConfig, ...]:
        """The trials that are missing, in the order of their configurations, of those whose name `is_wanted`."""
        return tuple(trial for name, left in self._left.items() if is_wanted(name) for trial in left.values())
