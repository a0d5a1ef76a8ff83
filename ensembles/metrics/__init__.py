"""Pure functions of predictions: scores, intervals, and the arithmetic of log-probabilities."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.metrics.intervals import mcnemar_p, paired_bootstrap, wilson_interval
    from ensembles.metrics.logits import softmax
    from ensembles.metrics.scores import accuracy, expected_calibration_error, log_loss, measure

__all__ = [
    "accuracy",
    "expected_calibration_error",
    "log_loss",
    "mcnemar_p",
    "measure",
    "paired_bootstrap",
    "softmax",
    "wilson_interval",
]

__getattr__ = lazy_names(
    __name__,
    {
        "intervals": (
            "mcnemar_p",
            "paired_bootstrap",
            "wilson_interval",
        ),
        "logits": ("softmax",),
        "scores": (
            "accuracy",
            "expected_calibration_error",
            "log_loss",
            "measure",
        ),
    },
)
