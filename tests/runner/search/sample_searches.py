"""Sweeps and searches from what a file would say of them."""

from __future__ import annotations

from typing import Any

from runner.config.checks import parse_spec
from runner.config.sweep import SweepSpec
from runner.search.base.former import Former
from runner.search.base.protocol import Search
from runner.search.choose import choose_search
from trainables.config.trial import TrialConfig


def make_sweep(search: dict[str, Any], **parts: Any) -> SweepSpec:
    """A sweep of digits; `search` and `parts` as a file has them."""
    return parse_spec({"name": "t", "data": {"name": "digits"}, "search": search, **parts}, "t.yaml")


def make_search(search: dict[str, Any], former: Former | None = None, **parts: Any) -> Search:
    """The search of such a sweep."""
    return choose_search(make_sweep(search, **parts), "data", former)


def rates(trials: list[TrialConfig]) -> list[float]:
    """Their learning rates."""
    return [trial.optimizer.lr for trial in trials]
