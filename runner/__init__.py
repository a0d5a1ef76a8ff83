"""Sweeps: what is searched, how trials are placed and stopped, how runs resume, what they come to; the command `caucus`; the library.

Start with `config` (a sweep file), `pipeline` (a run from its start to its report), `cli` (the command) and `library` (`Sweep`,
`Run` and `Predictor`, for notebooks and programs). `nightly.py` is the script that clusters start. Builds on `trainables` and
`ensembles`, which know nothing of it.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.config.checks import read_spec
    from runner.config.sweep import SweepSpec
    from runner.deploy.export import export_run
    from runner.library.methods import (
        ASHA,
        PBT,
        TPE,
        AllEpochs,
        Bagging,
        Boosting,
        GridSearch,
        HyperBand,
        JitteredGrid,
        Median,
        RandomSearch,
    )
    from runner.library.plugins import (
        register_calibration,
        register_data_source,
        register_rule,
        register_scheduler,
        register_search,
        register_selection,
        register_vote,
    )
    from runner.library.predictor import Predictor, open_bundle
    from runner.library.run import Report, Run, Trials, open_run
    from runner.library.space import choice, integers, log, uniform
    from runner.library.sweep import Sweep
    from runner.pipeline import run_sweep
    from runner.plan.plan import Plan, plan_sweep
    from runner.runs.locate import locate
    from runner.runs.stored_run import StoredRun, load_run
    from runner.schedulers.base import Scheduler
    from runner.search.base.protocol import Search

    __version__: str

__all__ = [
    "ASHA",
    "PBT",
    "TPE",
    "AllEpochs",
    "Bagging",
    "Boosting",
    "GridSearch",
    "HyperBand",
    "JitteredGrid",
    "Median",
    "Plan",
    "Predictor",
    "RandomSearch",
    "Report",
    "Run",
    "Scheduler",
    "Search",
    "StoredRun",
    "Sweep",
    "SweepSpec",
    "Trials",
    "choice",
    "export_run",
    "integers",
    "load_run",
    "locate",
    "log",
    "open_bundle",
    "open_run",
    "plan_sweep",
    "read_spec",
    "register_calibration",
    "register_data_source",
    "register_rule",
    "register_scheduler",
    "register_search",
    "register_selection",
    "register_vote",
    "run_sweep",
    "uniform",
]

_find = lazy_names(
    __name__,
    {
        "config.checks": ("read_spec",),
        "config.sweep": ("SweepSpec",),
        "deploy.export": ("export_run",),
        "library.methods": (
            "ASHA",
            "PBT",
            "TPE",
            "AllEpochs",
            "Bagging",
            "Boosting",
            "GridSearch",
            "HyperBand",
            "JitteredGrid",
            "Median",
            "RandomSearch",
        ),
        "library.plugins": (
            "register_calibration",
            "register_data_source",
            "register_rule",
            "register_scheduler",
            "register_search",
            "register_selection",
            "register_vote",
        ),
        "library.predictor": (
            "Predictor",
            "open_bundle",
        ),
        "library.run": (
            "Report",
            "Run",
            "Trials",
            "open_run",
        ),
        "library.space": (
            "choice",
            "integers",
            "log",
            "uniform",
        ),
        "library.sweep": ("Sweep",),
        "pipeline": ("run_sweep",),
        "plan.plan": (
            "Plan",
            "plan_sweep",
        ),
        "runs.locate": ("locate",),
        "runs.stored_run": (
            "StoredRun",
            "load_run",
        ),
        "schedulers.base": ("Scheduler",),
        "search.base.protocol": ("Search",),
    },
)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from trainables.distribution import installed_version

        return installed_version()
    return _find(name)
