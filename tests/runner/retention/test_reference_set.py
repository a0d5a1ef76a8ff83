"""Which checkpoints records name, and from which trials go on, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.journal.events import Event, RunOpened, TrialAudited, TrialEnded, TrialPlanned, TrialStarted
from runner.journal.state import RunState
from runner.retention.reference_set import (
    OTHER_MANIFEST,
    ReferenceSet,
    add_resumable,
    references,
    retain_other_manifests,
)
from tests.sample_runs.sample_run import make_trial
from trainables.config.trial import ParentConfig
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import STATES, TrialState
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import seal_json

WHEN: dict[str, Any] = {"at_unix_s": 1.0, "elapsed_s": 0.0}
A, B = "0f3a00000000", "0f3a00000001"


def stored(*names: str) -> ReferenceSet:
    """A store with these checkpoints, `<trial>@<epoch>`."""
    members = (name.split("@") for name in names)
    return ReferenceSet({CheckpointId(trial_id, int(epoch)): [] for trial_id, epoch in members})


def reasons(found: ReferenceSet) -> dict[str, str]:
    return {str(member): reason for member, reason in found.reasons.items()}


def test_what_is_not_stored_is_not_retained_and_the_first_reason_is_shown() -> None:
    found = stored(f"{A}@1", f"{A}@2")
    found.add([CheckpointId(A, 2), CheckpointId(A, 3)], "first")
    found.add([CheckpointId(A, 2), CheckpointId(A, 1)], "second")
    assert reasons(found) == {f"{A}@2": "first", f"{A}@1": "second"}


def test_the_checkpoints_of_a_trial_are_in_the_order_of_its_epochs() -> None:
    found = stored(f"{A}@10", f"{B}@1", f"{A}@2")
    assert list(map(str, found.of(A))) == [f"{A}@2", f"{A}@10"]


@pytest.mark.parametrize(
    ("value", "members", "names"),
    [
        (f"{A}@3", {f"{A}@3"}, {f"{A}@3"}),
        (f"from {A}@3 and {B}@12", {f"{A}@3", f"{B}@12"}, {f"from {A}@3 and {B}@12"}),
        ({"trial_id": A, "epoch": 3}, {f"{A}@3"}, {A}),
        ([A, 3], {f"{A}@3"}, {A}),
        ((A, 3), {f"{A}@3"}, {A}),
        ([A, 3, 4], set(), {A}),
        ({"a": [{"b": ({"c": f"{A}@1"},)}], "d": [B, 2]}, {f"{A}@1", f"{B}@2"}, {f"{A}@1", B}),
        ({"trial_id": A}, set(), {A}),
        ("sha256:00ff", set(), {"00ff"}),
        (3, set(), set()),
        (None, set(), set()),
    ],
)
def test_a_value_names_checkpoints_in_any_form_and_at_any_depth(
    value: object, members: set[str], names: set[str]
) -> None:
    found, others = references(value)
    assert (set(map(str, found)), others) == (members, names)


def run_of(*states: TrialState, parent: ParentConfig | None = None, audited: int | None = None) -> RunState:
    """Trial 0 is in `states[0]` and so on; the last one continues `parent`, and trial `audited` was pruned and is audited."""
    events: list[Event] = [RunOpened(**WHEN, slots=1, versions={})]
    for number, state in enumerate(states):
        trial = make_trial(number, parent=parent if number == len(states) - 1 else None)
        config = trial.model_dump(mode="json", exclude_defaults=True)
        events.append(TrialPlanned(**WHEN, trial_id=trial.trial_id, config=config))
        events.append(TrialStarted(**WHEN, trial_id=trial.trial_id))
        events.append(TrialEnded(**WHEN, trial_id=trial.trial_id, state=state, reason=""))
        if number == audited:
            events.append(TrialAudited(**WHEN, trial_id=trial.trial_id, epoch=1))
    return RunState(events)


def resumed(run: RunState) -> list[str]:
    """The states of the trials of which the newer one of two checkpoints is retained; no older one ever is."""
    found = stored(*(f"{trial_id}@{epoch}" for trial_id in run.trials for epoch in (1, 2)))
    add_resumable(run, found)
    assert {member.epoch for member in found.reasons} <= {2}
    return [run.trials[member.trial_id].state for member in found.reasons]


def test_of_a_trial_that_a_larger_budget_continues_the_newest_checkpoint_stays() -> None:
    assert resumed(run_of(*STATES)) == ["waiting", "running", "paused", "stopped"]


def test_where_trials_are_audited_any_that_was_pruned_may_go_on() -> None:
    assert resumed(run_of("finished", "pruned", "pruned", "failed", audited=1)) == ["pruned", "pruned"]


def test_a_population_may_continue_from_every_trial() -> None:
    parent = ParentConfig(trial_id=A, epoch=1)
    assert resumed(run_of("finished", "pruned", "failed", parent=parent)) == ["finished", "pruned", "failed"]


def test_manifests_that_are_not_understood_are_looked_for_among_the_trials_that_are_asked_for(tmp_path: Path) -> None:
    store = Folder(tmp_path, "runs")
    names = [f"{A}@1", f"{A}@2", f"{B}@1"]
    for member in stored(*names).stored:
        store.put(member.key(layout.MANIFEST), b"?")
    whole = {"trial_id": A, "epoch": 1, "parts": {}}
    store.put(CheckpointId(A, 1).key(layout.MANIFEST), seal_json(whole))
    some, every = stored(*names), stored(*names)
    some.add([CheckpointId(B, 1)], "a reason")
    (note,) = retain_other_manifests(store, some, {A})
    assert note.startswith("1 checkpoint(s) stay as they are: ")
    assert reasons(some) == {f"{B}@1": "a reason", f"{A}@2": OTHER_MANIFEST}
    assert retain_other_manifests(store, some, {A}) == []
    (note,) = retain_other_manifests(store, every)
    assert note.startswith("2 checkpoint(s)")
    assert set(reasons(every)) == {f"{A}@2", f"{B}@1"}
