"""Builds the search that a sweep file names."""

from __future__ import annotations

from collections.abc import Sequence

from runner.config.rules import stage_scheduler
from runner.config.sweep import SweepSpec
from runner.journal.state import RunState
from runner.search.base.former import Former
from runner.search.base.protocol import Measure, Plan, Search
from runner.search.base.stage_context import StageContext
from runner.search.methods.random import draw_trials
from runner.search.pseudo_labels import with_second_stage
from runner.search.stages import StagedSearch
from runner.search.warm_start import begin_warm
from trainables.config.trial import TrialConfig
from trainables.errors import SweepFileError
from trainables.plugins.call import build
from trainables.plugins.kinds import SEARCH

PROTOCOL = ("step", "observe", "wants")


def choose_search(
    spec: SweepSpec, data_id: str, former: Former | None = None, trained: Sequence[TrialConfig] = ()
) -> Search:
    """The search of a sweep: a single one, or its stages.

    `former` is the run that it starts from or replays, `trained` are trials of earlier runs of the same sweep.

    Raises `SweepFileError` if it cannot begin: a space with fewer trials than requested, a vote of more
    members than there are trials, an extra that is not installed.
    """
    if spec.search.stages:
        staged = StagedSearch(spec, data_id, lambda scope: choose_method(scope, former))
        return with_second_stage(spec, begin_warm(spec, data_id, former, staged))
    scope = StageContext(spec, data_id, "", spec.search, {})
    if scope.method.method == "random" and scope.tested_key is None:
        draw_trials(scope)
    search = choose_method(scope, former, trained)
    _check_size(spec, search)
    return with_second_stage(spec, begin_warm(spec, data_id, former, search))


def choose_method(scope: StageContext, former: Former | None, trained: Sequence[TrialConfig] = ()) -> Search:
    """The search that one stage names. Its class is called with the stage's context, with `former` and `trained` if its signature names
    them, and with its own keys. Raises `PluginUnusable` where a plug-in cannot be built, or is no search."""
    method = scope.method
    known = {"former": former, "trained": trained}
    search: Search = build(SEARCH, method.method, (scope,), known, method.custom_keys, PROTOCOL)
    scheduler = stage_scheduler(scope.spec, scope.stage).method
    if method.has_plugin and getattr(search, "needs_all_epochs", False) and scheduler != "none":
        raise SweepFileError(
            f"search.method is {method.method}, which needs all epochs of its trials, but scheduler.method is {scheduler}: "
            f"{'give the stage scheduler.method' if scope.stage else 'set scheduler.method'}=none"
        )
    return search


def list_trials(spec: SweepSpec, data_id: str, former: Former | None = None) -> list[TrialConfig]:
    """The trials that a sweep is sure to have, before anything is known of results. Raises as `choose_search` does."""
    step = choose_search(spec, data_id, former).step(RunState())
    match step:
        case Plan():
            return list(step.trials)
        case Measure():
            return []
    return []


def _check_size(spec: SweepSpec, search: Search) -> None:
    """A vote of the best `size` trials needs as many."""
    ensemble = spec.ensemble
    if ensemble.select != "top" or ensemble.pool != "best":
        return
    step = search.step(RunState())
    trials = len(step.trials) if isinstance(step, Plan) else 0
    if spec.search.method in ("tpe", "gp", "bohb"):
        trials = spec.search.configuration_count * spec.search.repeats
    if isinstance(step, Plan) and ensemble.size > trials:
        raise SweepFileError(
            f"ensemble.size is {ensemble.size}, but there are only {trials} trials to choose from: "
            "lower ensemble.size or raise search.trials"
        )
