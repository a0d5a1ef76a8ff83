"""How much better or worse one prediction is than another on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ensembles.metrics.intervals import BOOTSTRAP_SEED, mcnemar_p, paired_bootstrap
from trainables.metric import Metric

DOUBT_P = 0.05
"""From this p of McNemar's test on, a difference may be luck."""


@dataclass(frozen=True)
class Change:
    """Accuracy before and after, shares of 1, of the same images; or another metric of what is predicted."""

    before: float
    after: float
    difference: float
    ci95: tuple[float, float]
    """Interval of the difference, by paired bootstrap."""
    mcnemar_p: float
    """Exact p of McNemar's test that both are right equally often."""
    metric: Metric | None = None
    """What the first four are measured by; None where that is accuracy."""

    @property
    def direction(self) -> Literal["better", "worse", "alike"]:
        """`alike`: these images cannot tell the difference from zero.

        Interval and test have to agree: on few images the bootstrap is too sure. Four images gained and none lost give an
        interval above zero, but happen by luck once in eight times (p 0.125). For another metric there is no such test.
        """
        low, high = self.ci95
        if self.metric is None and self.mcnemar_p >= DOUBT_P:
            return "alike"
        return "better" if low > 0 else "worse" if high < 0 else "alike"


def measure_change(
    right_after: npt.NDArray[np.bool_],
    right_before: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64] | None = None,
) -> Change:
    """The change from the images predicted `right_before` to those `right_after`: both bool (images,), at least one image.

    `groups`, int64 (images,), are those of the images; interval and test then count whole groups.
    """
    return Change(
        before=float(np.mean(right_before)),
        after=float(np.mean(right_after)),
        difference=float(np.mean(right_after) - np.mean(right_before)),
        ci95=paired_bootstrap(right_after, right_before, BOOTSTRAP_SEED, groups=groups),
        mcnemar_p=mcnemar_p(right_after, right_before, groups),
    )
