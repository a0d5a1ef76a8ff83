"""No calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ensembles.calibration.rows import change_whole


@dataclass(frozen=True)
class Uncalibrated:
    """The probabilities as the vote gives them."""

    @classmethod
    def fit(cls, probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> Self:
        """Learns nothing."""
        return cls()

    def apply(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """A copy in float64."""
        return change_whole(probabilities, lambda rows: rows)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `read` is the inverse."""
        return {"kind": "none"}

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls()
