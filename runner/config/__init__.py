"""A sweep file: its keys, how it is read, and how it is checked.

`sweep.SweepSpec` is the whole file, and each section has a module; `checks.read_spec` reads and checks one. Imports neither torch nor Ray.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.config.checks import parse_spec, read_spec
    from runner.config.nightly import NightlyConfig
    from runner.config.run import BudgetConfig, ResourcesConfig, StoreConfig
    from runner.config.scheduler import SchedulerConfig
    from runner.config.search import SearchConfig
    from runner.config.sweep import SweepSpec

__all__ = [
    "BudgetConfig",
    "NightlyConfig",
    "ResourcesConfig",
    "SchedulerConfig",
    "SearchConfig",
    "StoreConfig",
    "SweepSpec",
    "parse_spec",
    "read_spec",
]

__getattr__ = lazy_names(
    __name__,
    {
        "checks": (
            "parse_spec",
            "read_spec",
        ),
        "nightly": ("NightlyConfig",),
        "run": (
            "BudgetConfig",
            "ResourcesConfig",
            "StoreConfig",
        ),
        "scheduler": ("SchedulerConfig",),
        "search": ("SearchConfig",),
        "sweep": ("SweepSpec",),
    },
)
