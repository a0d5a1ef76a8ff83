"""Before a sweep starts, each plug-in that the driver will call later is found, and its keys are checked."""

from __future__ import annotations

from ensembles.diagnosis.custom import find_rules
from ensembles.plugins import check_ensemble_plugins
from runner.config.rules import stage_scheduler
from runner.config.sweep import SweepSpec
from runner.schedulers.choose import choose_scheduler


def check_plugins(spec: SweepSpec) -> None:
    """Raise `PluginUnusable` where a custom selection, vote, calibration, scheduler or rule cannot be imported, or does not take a key.

    Models are checked by `check_models`; searches and data sources are called before a run begins.
    """
    check_ensemble_plugins(spec.ensemble, spec.ensemble.custom_keys)
    for stage, _ in spec.search.parts:
        choose_scheduler(stage_scheduler(spec, stage), spec.search.seed)
    find_rules(spec.diagnosis.rules)
