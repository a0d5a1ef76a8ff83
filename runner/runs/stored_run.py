"""A run as the store has it, loaded and ready to be voted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from ensembles.config import EnsembleConfig
from runner.config.messages import nearest, rule
from runner.config.overrides import apply_overrides
from runner.config.sweep import SweepSpec
from runner.journal.journal import read_state
from runner.journal.state import RunState
from runner.runs.locate import Located
from runner.runs.pooled_runs import pool_records, read_other_runs
from trainables.config.model import is_custom_model
from trainables.errors import CaucusError, SweepFileError
from trainables.plugins.trust import trust
from trainables.results.listing import Listing
from trainables.results.record import TrialRecord, rank
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json


class NothingToVote(CaucusError, LookupError):
    """No trial has come to the end of an epoch."""


@dataclass(frozen=True)
class StoredRun:
    """A run as the store has it, ready to be voted on."""

    store: Store
    name: str
    run_id: str
    state: RunState
    ensemble: EnsembleConfig
    command: str
    """What reproduces it."""
    spec: SweepSpec | None = None
    """The sweep, where its record can still be read as one."""
    unasked: tuple[str, ...] = ()
    """Keys of its `ensemble` that this version does not know: a vote here leaves them out."""
    listing: Listing | None = None
    """What was listed of its trials a moment ago, if it was."""

    @property
    def note(self) -> str:
        """Why its newest execution ended early, "" where it did not."""
        return self.state.closed.reason if self.state.closed else ""

    @property
    def run(self) -> str:
        """`<name>/<run>`, as reports and people name it."""
        return f"{self.name}/{self.run_id}"

    def key(self, part: str) -> str:
        """Key of one part of the run in the store."""
        return layout.run_key(self.name, self.run_id, part)


def load_run(found: Located, overrides: list[str], state: RunState | None = None) -> StoredRun:
    """The run at `found`, its ensemble as its sweep says, changed by `overrides` (`ensemble.size=4`, or `size=4`).

    `state` is what its journal adds up to, where that was read and all of it understood. Raises `SweepFileError` where an
    override is no key of the ensemble.
    """
    head = get_json(found.store, layout.run_key(found.name, found.run, layout.SWEEP))
    spec = head.get("spec")
    told = spec.get("ensemble") if isinstance(spec, dict) else None
    told, unasked = _known_part(told if isinstance(told, dict) else {})
    changed = apply_overrides(told, [word.removeprefix("ensemble.") for word in overrides], ())
    try:
        ensemble = EnsembleConfig.model_validate(changed)
    except ValidationError as error:
        problem = error.errors()[0]
        key = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "extra_forbidden":
            raise SweepFileError(
                f"ensemble.{key}: no such key{nearest(key, list(EnsembleConfig.model_fields))}"
            ) from None
        raise SweepFileError(f"ensemble.{key} is {problem['input']!r}: {rule(problem)}") from None
    state = state or read_state(found.store, found.name, found.run)
    asked = {key.partition(".")[0] for key in changed}
    unasked = [key for key in unasked if key.partition("=")[0] not in asked]
    state.unread.update(f"{layout.SWEEP} with ensemble.{key}" for key in unasked)
    command = str(head.get("command", ""))
    return StoredRun(found.store, found.name, found.run, state, ensemble, command, spec_in(head), tuple(unasked))


def _known_part(told: dict[str, object]) -> tuple[dict[str, object], list[str]]:
    """The `ensemble` of a record without the keys and words that this version does not know; and those."""
    left, unasked = dict(told), list[str]()
    for _ in told:
        try:
            EnsembleConfig.model_validate(left)
            break
        except ValidationError as error:
            for problem in error.errors():
                key = str(problem["loc"][0]) if problem["loc"] else ""
                if key in left:
                    unasked.append(f"{key}={str(left.pop(key))[:40]}")
    return left, unasked


def spec_in(head: Mapping[str, object]) -> SweepSpec | None:
    """The sweep as a run's head has it; None where another version wrote what this one cannot read."""
    try:
        return SweepSpec.model_validate(head.get("spec"))
    except ValidationError:
        return None


def pool_trials(stored: StoredRun) -> list[TrialRecord]:
    """The run's trials with those of the runs that its ensemble names, ranked."""
    records = rank(list(stored.state.trials.values()))
    if not stored.ensemble.runs or not records:
        return records
    return pool_records(records, read_other_runs(stored.store, stored.ensemble.runs, records[0].config.data_id))


def trust_run(stored: StoredRun) -> None:
    """From now on models that the trials of a stored run, or of runs that it pools, name may be imported: for --custom-code."""
    from runner.runs.stored_run import pool_trials

    names = {record.config.model.name for record in pool_trials(stored)}
    trust(name for name in names if is_custom_model(name))
