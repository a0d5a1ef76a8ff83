"""Lays results out as tables and lines for a terminal."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.cli.tables.diagnosis import show_diagnoses
    from runner.cli.tables.plan import show_plan
    from runner.cli.tables.result import show_result
    from runner.cli.tables.trials import show_trials

__all__ = ["show_diagnoses", "show_plan", "show_result", "show_trials"]

__getattr__ = lazy_names(
    __name__,
    {"diagnosis": ("show_diagnoses",), "plan": ("show_plan",), "result": ("show_result",), "trials": ("show_trials",)},
)
