"""Epochs that a run has on record and whose checkpoints its store does not have."""

from __future__ import annotations

from collections.abc import Mapping

from runner.journal.state import RunState
from trainables.results.listing import Listing, list_checkpoints
from trainables.store.base import Store


def is_done(state: RunState) -> bool:
    """Whether the newest execution came to its end with all checkpoints verified."""
    return state.closed is not None and state.closed.state == "done"


def lost_epochs(
    store: Store, state: RunState, deleted: Mapping[str, set[int]] | None = None, listing: Listing | None = None
) -> dict[str, set[int]]:
    """Epochs on record whose checkpoints are not in the store, by trial; trials without any are left out.

    Those that retention has `deleted` are not lost. After a clean end there were none: what was lost since is found by
    `verify_run`, which looks at every checkpoint. `listing` is what was listed a moment ago, if it was.
    """
    if is_done(state):
        return {}
    recorded = {
        name: {epoch.epoch for epoch in record.epochs} for name, record in state.trials.items() if record.epochs
    }
    known, there = deleted or {}, (listing or list_checkpoints(store, recorded)).committed
    lost = {name: epochs - known.get(name, set()) - there.get(name, set()) for name, epochs in recorded.items()}
    return {name: epochs for name, epochs in lost.items() if epochs}
