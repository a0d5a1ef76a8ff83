"""Learning rates inside the bounds that a range test finds for each architecture: `optimizer.lr: {range_test: true}`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from runner.journal.events import Event, RangeTested
from runner.search.base.protocol import Measure
from runner.search.base.stage_context import StageContext
from runner.space.distribution import Value
from trainables.config.trial import TrialConfig


class RangeBounds:
    """The recorded bounds. Until the architecture of a rate has been tested, the rate is given as its share (0 to 1) of the range."""

    def __init__(self, scope: StageContext) -> None:
        self._scope = scope
        self._bounds: dict[str, tuple[float, float]] = {}

    def observe(self, event: Event) -> None:
        """Store the bounds of a range test; other events change nothing."""
        if isinstance(event, RangeTested):
            self._bounds[event.key] = (event.low, event.high)

    def missing_tests(self, drawn: Iterable[Mapping[str, Value]]) -> Measure | None:
        """The tests that are missing before the trials of `drawn` can be made."""
        if self._scope.tested_key is None:
            return None
        needed: dict[str, TrialConfig] = {}
        labels: dict[str, str] = {}
        for values in drawn:
            if self._scope.tested_key in values:
                trial = self._scope.architecture(values)
                if trial.trial_id not in self._bounds:
                    needed[trial.trial_id] = trial
                    varied = {key: values[key] for key in self._scope.architecture_keys if key in values}
                    labels[trial.trial_id] = ", ".join(
                        f"{key.rpartition('.')[2]} {value}" for key, value in varied.items()
                    )
        return Measure(needed, labels) if needed else None

    def place(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """`values` with the rate at its share of its architecture's range; unchanged if the range is not known yet."""
        key = self._scope.tested_key
        placed = dict(values)
        if key in placed and key is not None:
            bounds = self._bounds.get(self._scope.architecture(values).trial_id)
            share = placed[key]
            if bounds and isinstance(share, float):
                placed[key] = self._scope.space[key].between(*bounds).draw(share)
        return placed

    def share(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The inverse of `place`, for a model that learns in shares."""
        key = self._scope.tested_key
        shared = dict(values)
        if key in shared and key is not None:
            bounds = self._bounds.get(self._scope.architecture(values).trial_id)
            rate = shared[key]
            if bounds and isinstance(rate, float):
                low, high = map(math.log, bounds)
                shared[key] = min(1.0, max(0.0, (math.log(rate) - low) / max(high - low, 1e-12)))
        return shared
