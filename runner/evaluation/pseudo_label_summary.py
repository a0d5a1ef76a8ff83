"""The report's summary of pseudo-labels, from a run's decision and its newest team."""

from __future__ import annotations

from collections.abc import Iterator

from ensembles.config import EnsembleConfig
from ensembles.pool.pool import read_pool
from ensembles.pseudo_labels.labelling import read_labelling
from ensembles.pseudo_labels.summary import Gain, PseudoLabelSummary, TrialPair, make_team, measure_gain
from ensembles.team import Team
from runner.config.pseudo_labels import PSEUDO
from runner.config.sweep import SweepSpec
from runner.journal.state import RunState
from runner.search.base.decisions import PseudoLabelled
from trainables.data.data_table import DataTable
from trainables.errors import MismatchedPredictions
from trainables.results.checkpoint import CheckpointId
from trainables.store import layout
from trainables.store.base import Store


def summarise_pseudo_labels(
    store: Store,
    state: RunState,
    spec: SweepSpec | None,
    table: DataTable,
    config: EnsembleConfig,
    team: Team,
    best: CheckpointId,
) -> PseudoLabelSummary | None:
    """The summary of the newest labelling; None if the run has none and its sweep asks for none.

    Opens predictions on test, so it may be called only once everything is chosen: `team` and `best`, on validation.
    """
    decision = next((one for one in reversed(state.decisions) if one.what == PSEUDO), None)
    found = PseudoLabelled.read(decision) if decision else None
    if decision is None or found is None:
        is_configured = spec is not None and spec.pseudo_labels is not None
        return (
            PseudoLabelSummary("no image is labelled yet: the first stage did not come to its end")
            if is_configured
            else None
        )
    labelling = read_labelling(found.labelling) if found.labelling else None
    if not found.table:
        return PseudoLabelSummary(decision.reason, labelling=labelling)
    return PseudoLabelSummary(
        reason=decision.reason,
        table=layout.pseudo_key(table.data_id, found.table),
        labelling=labelling,
        gains=tuple(_measure(store, found, table, config, team, best)),
        pairs=tuple(_pair(state, found)),
    )


def _measure(
    store: Store, found: PseudoLabelled, table: DataTable, config: EnsembleConfig, team: Team, best: CheckpointId
) -> Iterator[Gain]:
    """Gains of the best single checkpoint and of the team; nothing if predictions of the earlier team are gone."""
    assert found.best is not None  # a decision with a table names its team
    members = [CheckpointId(name, epoch) for name, epoch in found.members]
    best_before = CheckpointId(*found.best)
    needed = list(dict.fromkeys([*members, best_before, *team.members, best]))
    try:
        pools = read_pool(store, needed, "validation", table), read_pool(store, needed, "test", table)
        yield measure_gain("best single checkpoint", make_team([best_before]), make_team([best]), "soft", *pools)
        before, name = make_team(members, found.weights), f"{config.vote} vote of the team"
        yield measure_gain(name, before, team, config.vote, *pools, keys=config.custom_keys)
    except MismatchedPredictions:
        return


def _pair(state: RunState, found: PseudoLabelled) -> Iterator[TrialPair]:
    for one in found.trials:
        before = state.trials[one.trial_id]
        again = before.config.model_copy(update={"pseudo_table": found.table}).trial_id
        if again in state.trials:
            yield TrialPair(before, state.trials[again])
