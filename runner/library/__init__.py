"""Caucus as a library: what a notebook or a program uses instead of the command and sweep files.

`sweep.Sweep` describes a sweep and runs it, `run.Run` is what comes of it, `predictor.Predictor` answers for new images. The names
here are those of `runner`, which is `caucus`.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
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
    "Predictor",
    "RandomSearch",
    "Report",
    "Run",
    "Sweep",
    "Trials",
    "choice",
    "integers",
    "log",
    "open_bundle",
    "open_run",
    "register_calibration",
    "register_data_source",
    "register_rule",
    "register_scheduler",
    "register_search",
    "register_selection",
    "register_vote",
    "uniform",
]

__getattr__ = lazy_names(
    __name__,
    {
        "methods": (
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
        "plugins": (
            "register_calibration",
            "register_data_source",
            "register_rule",
            "register_scheduler",
            "register_search",
            "register_selection",
            "register_vote",
        ),
        "predictor": ("Predictor", "open_bundle"),
        "run": ("Report", "Run", "Trials", "open_run"),
        "space": ("choice", "integers", "log", "uniform"),
        "sweep": ("Sweep",),
    },
)
