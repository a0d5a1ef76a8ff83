"""Learning curves over the number of training images, and the expected gain of twice as many.

The error is assumed to fall as a power of the number of images, `error = a n^-b` (Hestness et al. 2017), fitted by least
squares on logarithms, as Cortes et al. (1994) do but without their floor: three shares of the data do not show one. So the
gain of more data is overestimated near the floor; a gain is reported only if the newest images brought as much as the curve
predicts, within the noise.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ensembles.diagnosis.signs import Setting
from trainables.config.base import short_hash
from trainables.results.record import TrialRecord

FEWEST_SHARES = 3
LEAST_GAIN = 0.01
"""Least expected gain in accuracy of twice the data; it must also exceed the noise of one measurement."""

CLEAR = 2.0
"""Number of standard errors from which a difference of two accuracies is not due to chance."""


@dataclass(frozen=True)
class DataCurve:
    """Trials that differ in `train_share` and seed alone."""

    images: tuple[int, ...]
    """Training images, rising."""
    accuracies: tuple[float, ...]
    """Best validation accuracies, means over seeds."""
    noise: float
    """Standard error of the last of these accuracies."""
    largest: tuple[str, ...]
    """Trials with the largest share of the data."""

    @property
    def exponent(self) -> float:
        """Exponent of the power law of the error."""
        x = [math.log(count) for count in self.images]
        y = [math.log(max(1 - accuracy, 1e-4)) for accuracy in self.accuracies]
        return -statistics.linear_regression(x, y).slope

    @property
    def promised(self) -> float:
        """Gain in accuracy of twice as many images."""
        return self._gain(self.accuracies[-1], 2.0)

    @property
    def wants_more(self) -> bool:
        """Whether more data would help by more than the noise."""
        # At most: the same validation images are behind both accuracies.
        chance = CLEAR * math.sqrt(2) * self.noise
        expected = self._gain(self.accuracies[-2], self.images[-1] / self.images[-2])
        still_grows = self.accuracies[-1] - self.accuracies[-2] > expected - chance
        grew = self.accuracies[-1] - self.accuracies[0] > chance
        return self.promised > max(LEAST_GAIN, self.noise) and grew and still_grows

    def _gain(self, accuracy: float, times: float) -> float:
        """Expected gain of `times` as many images, starting from `accuracy`."""
        return (1 - accuracy) * (1 - times**-self.exponent) if self.exponent > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "train_images": list(self.images),
            "validation_accuracy": [round(accuracy, 4) for accuracy in self.accuracies],
            "gain_of_twice_the_data": round(self.promised, 4),
            "exponent": round(self.exponent, 3),
        }


def find_data_curves(records: Sequence[TrialRecord], setting: Setting) -> list[DataCurve]:
    """The curves that a run's trials allow: at least three shares of the data each."""
    groups: dict[str, dict[float, list[TrialRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if record.best is not None and record.state == "finished":
            settings = record.config.model_dump(mode="json", exclude={"train_share", "seed"})
            groups[short_hash(settings, digits=16)][record.config.train_share].append(record)
    return [_curve(shares, setting) for shares in groups.values() if len(shares) >= FEWEST_SHARES]


def _curve(shares: dict[float, list[TrialRecord]], setting: Setting) -> DataCurve:
    rising = sorted(shares)
    found = [[one.best.validation_accuracy for one in shares[share] if one.best] for share in rising]
    last = statistics.fmean(found[-1])
    chance = last * (1 - last) / setting.validation_images
    spread = statistics.variance(found[-1]) / len(found[-1]) if len(found[-1]) > 1 else 0.0
    return DataCurve(
        images=tuple(max(1, int(share * setting.train_images)) for share in rising),
        accuracies=tuple(statistics.fmean(accuracies) for accuracies in found),
        noise=math.sqrt(max(chance / len(found[-1]), spread)),
        largest=tuple(one.trial_id for one in shares[rising[-1]]),
    )
