"""The metrics that a sweep can ask for: their names, which way is good, and their values as shares and as text. No numpy."""

from __future__ import annotations

import math
from typing import Literal

Metric = Literal["log_loss", "accuracy", "balanced_accuracy", "macro_f1", "auc", "brier"]

LOW_IS_GOOD: frozenset[Metric] = frozenset({"log_loss", "brier"})

_NAMES: dict[Metric, str] = {
    "log_loss": "log-loss",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auc": "AUC",
    "brier": "Brier score",
}
_SHARES = ("accuracy", "balanced_accuracy")


def merit_of(metric: Metric, score: float) -> float:
    """A value of `metric` as a share of 1 that is higher the better it is, so that searches and schedulers need no direction.

    Of the log-loss that is exp(-loss), the geometric mean of the probabilities of the true classes; of the Brier score 1 - score / 2;
    the others are such shares. All of these keep the order of the values.

    >>> merit_of("accuracy", 0.9), round(merit_of("log_loss", 0.5), 4), merit_of("brier", 0.5)
    (0.9, 0.6065, 0.75)
    """
    if metric == "log_loss":
        return math.exp(-score)
    return 1 - score / 2 if metric == "brier" else score


def score_of(metric: Metric, merit: float) -> float:
    """The inverse of `merit_of`; the log-loss of a merit of 0 is infinite.

    >>> score_of("log_loss", merit_of("log_loss", 0.5)), score_of("brier", 0.75), score_of("log_loss", 0.0)
    (0.5, 0.5, inf)
    """
    if metric == "log_loss":
        return -math.log(merit) if merit > 0 else math.inf
    return 2 * (1 - merit) if metric == "brier" else merit


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


def describe_merit(metric: Metric, merit: float) -> str:
    """A merit as a person reads it: an accuracy as it is, another metric with its name.

    >>> describe_merit("accuracy", 0.91234), describe_merit("macro_f1", 0.5), describe_merit("log_loss", merit_of("log_loss", 0.25))
    ('91.23%', 'macro F1 0.5000', 'log-loss 0.2500')
    """
    shown = show_score(metric, score_of(metric, merit))
    return shown if metric == "accuracy" else f"{name_metric(metric)} {shown}"
