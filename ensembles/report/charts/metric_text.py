"""Metrics and their values as a person reads them."""

from __future__ import annotations

from ensembles.config import Metric
from ensembles.metrics.scores import LOW_IS_GOOD

MISSING = "\N{EN DASH}"
"""Shown in place of a missing figure."""

_NAMES: dict[Metric, str] = {
    "log_loss": "log-loss",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auc": "AUC",
    "brier": "Brier score",
}
_SHARES = ("accuracy", "balanced_accuracy")


def name_metric(metric: Metric) -> str:
    """The metric's name in a sentence."""
    return _NAMES[metric]


def show_score(metric: Metric, value: float) -> str:
    """A value of `metric`.

    >>> show_score("accuracy", 0.91234), show_score("log_loss", 0.2574)
    ('91.23%', '0.2574')
    """
    return f"{value:.2%}" if metric in _SHARES else f"{value:.4f}"


def show_loss(metric: Metric, worse: float) -> str:
    """How much worse a value is, whichever way the metric goes: above zero is worse. Of shares in points.

    >>> show_loss("accuracy", 0.0021), show_loss("log_loss", -0.0013)
    ('+0.21', '-0.0013')
    """
    figure = round(100 * worse, 2) if metric in _SHARES else round(worse, 4)
    return f"{figure + 0.0:+.2f}" if metric in _SHARES else f"{figure + 0.0:+.4f}"  # + 0.0: no figure is minus nothing


def describe_unit(metric: Metric) -> str:
    """What `show_loss` counts in."""
    return "points" if metric in _SHARES else "nats" if metric == "log_loss" else ""


def describe_direction(metric: Metric) -> str:
    """Which way is good: `lower is better`."""
    return f"{'lower' if metric in LOW_IS_GOOD else 'higher'} is better"
