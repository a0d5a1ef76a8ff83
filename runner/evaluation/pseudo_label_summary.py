"""What a report tells of pseudo-labels: from a run's decision and its newest team, to a `PseudoLabelSummary`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ensembles.config import VoteMethod
from ensembles.pool.pool import read_pool
from ensembles.pseudo_labels.labelling import read_labelling
from ensembles.pseudo_labels.summary import Gain, PseudoLabelSummary, TrialPair, make_team, measure_gain
from ensembles.team import Team
from runner.config.pseudo_labels import PSEUDO
from runner.config.sweep import SweepSpec
from runner.journal.state import RunState
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
    method: VoteMethod,
    choice: Team,
    best: CheckpointId,
) -> PseudoLabelSummary | None:
    """The story of the newest labelling; None where the run has none and its sweep asks for none.

    Opens predictions on test, so it may be called only once everything is chosen: `choice` and `best`, on validation.
    """
    decision = next((one for one in reversed(state.decisions) if one.what == PSEUDO), None)
    if decision is None:
        asked = spec is not None and spec.pseudo_labels is not None
        return (
            PseudoLabelSummary("no image is labelled yet: the first stage did not come to its end") if asked else None
        )
    told = decision.values
    labelling = read_labelling(told["labelling"]) if told["labelling"] else None
    if not told["table"]:
        return PseudoLabelSummary(decision.reason, labelling=labelling)
    return PseudoLabelSummary(
        reason=decision.reason,
        table=layout.pseudo_key(table.data_id, told["table"]),
        labelling=labelling,
        gains=tuple(_measure(store, told, table, method, choice, best)),
        pairs=tuple(_pair(state, told)),
    )


def _measure(
    store: Store, told: dict[str, Any], table: DataTable, method: VoteMethod, choice: Team, best: CheckpointId
) -> Iterator[Gain]:
    """Best single and team; nothing where predictions of the team before are not there any more."""
    members = [CheckpointId(name, epoch) for name, epoch in told["members"]]
    best_before = CheckpointId(*told["best"])
    asked = list(dict.fromkeys([*members, best_before, *choice.members, best]))
    try:
        pools = read_pool(store, asked, "validation", table), read_pool(store, asked, "test", table)
        yield measure_gain("best single checkpoint", make_team([best_before]), make_team([best]), "soft", *pools)
        yield measure_gain(f"{method} vote of the team", make_team(members, told["weights"]), choice, method, *pools)
    except MismatchedPredictions:
        return


def _pair(state: RunState, told: dict[str, Any]) -> Iterator[TrialPair]:
    for one in told["trials"]:
        before = state.trials[one["trial_id"]]
        again = before.config.model_copy(update={"pseudo_table": told["table"]}).trial_id
        if again in state.trials:
            yield TrialPair(before, state.trials[again])
