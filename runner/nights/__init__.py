"""Nightly sweeps: a run that begins where the last accepted night ended, is compared with it, and reported to a hook."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.nights.causes import find_causes
    from runner.nights.hook import call_hook
    from runner.nights.night import Night, plan_night, run_night

__all__ = ["Night", "call_hook", "find_causes", "plan_night", "run_night"]

__getattr__ = lazy_names(
    __name__,
    {
        "causes": ("find_causes",),
        "hook": ("call_hook",),
        "night": (
            "Night",
            "plan_night",
            "run_night",
        ),
    },
)
