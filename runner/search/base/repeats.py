"""Which repeats of the recorded configurations are still to be planned."""

from __future__ import annotations

from collections.abc import Container

from runner.search.base.best import configuration_of
from runner.search.base.stage_context import StageContext, values_of
from trainables.config.trial import TrialConfig


class Repeats:
    """The seeds that a configuration lacks: of a plan that was cut short, or of an earlier run with fewer `repeats`. A fold."""

    def __init__(self, scope: StageContext) -> None:
        self._scope = scope
        self._left: dict[str, dict[str, TrialConfig]] = {}
        """Trials that are not recorded, by configuration and id."""

    def observe(self, trial: TrialConfig) -> None:
        """A trial of the stage was recorded."""
        if self._scope.method.repeats == 1:
            return
        name = configuration_of(trial)
        if name not in self._left:
            values = self._scope.active(values_of(trial, self._scope.space))
            all_of_it = {each.trial_id: each for each in self._scope.trials(values)}
            # What the sweep would not make of these values came from elsewhere, and has no repeats here.
            self._left[name] = all_of_it if trial.trial_id in all_of_it else {}
        self._left[name].pop(trial.trial_id, None)

    def missing(self, wanted: Container[str] | None = None) -> tuple[TrialConfig, ...]:
        """The trials that are missing, in the order of their configurations; of those named in `wanted` alone."""
        return tuple(
            trial for name, left in self._left.items() if wanted is None or name in wanted for trial in left.values()
        )
