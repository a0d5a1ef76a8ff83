"""Calibrates a vote's probabilities: temperature, vector and isotonic calibration, fitted on validation.

`calibrate` fits, reads and cross-fits; each method has a file; `reliability` measures how far confidence can be trusted.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.calibration.calibrate import cross_fit, fit_calibration, read_calibrator
    from ensembles.calibration.reliability import risk_coverage

__all__ = ["cross_fit", "fit_calibration", "read_calibrator", "risk_coverage"]

__getattr__ = lazy_names(
    __name__,
    {
        "calibrate": (
            "cross_fit",
            "fit_calibration",
            "read_calibrator",
        ),
        "reliability": ("risk_coverage",),
    },
)
