"""A run that is loaded from its store, ready for a vote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from ensembles.config import EnsembleConfig
from ensembles.plugins import check_ensemble_plugins
from runner.config.checks import say_metric
from runner.config.messages import nearest, rule
from runner.config.overrides import apply_overrides, plugin_names
from runner.config.sweep import SweepSpec
from runner.journal.journal import read_state
from runner.journal.state import RunState
from runner.runs.locate import Located
from runner.runs.pooled_runs import pool_records, read_other_runs
from trainables.errors import CaucusError, SweepFileError
from trainables.plugins.kind import is_plugin
from trainables.plugins.trust import trust
from trainables.results.listing import Listing
from trainables.results.record import TrialRecord, rank
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json


class NothingToVote(CaucusError, LookupError):
    """No trial has completed an epoch."""


@dataclass(frozen=True)
class StoredRun:
    """A run that is loaded from its store, ready for a vote."""

    store: Store
    name: str
    run_id: str
    state: RunState
    ensemble: EnsembleConfig
    command: str
    """The command line that reproduces the run."""
    spec: SweepSpec | None = None
    """The sweep; None where its record cannot be parsed."""
    ignored_keys: tuple[str, ...] = ()
    """Keys of its `ensemble` that this version does not know, and that a vote therefore ignores."""
    listing: Listing | None = None
    """A recent listing of its trials, if there is one."""

    @property
    def note(self) -> str:
        """Why its newest execution ended early, "" where it did not."""
        return self.state.closed.reason if self.state.closed else ""

    @property
    def run(self) -> str:
        """`<name>/<run>`, its name in reports and on the command line."""
        return f"{self.name}/{self.run_id}"

    def key(self, part: str) -> str:
        """Key in the store of one part of the run."""
        return layout.run_key(self.name, self.run_id, part)


def load_run(
    found: Located, overrides: list[str], state: RunState | None = None, custom_code: bool = False
) -> StoredRun:
    """The run at `found`, with the ensemble of its sweep, changed by `overrides` (`ensemble.size=4`, or `size=4`).

    `state` is the state of its journal, where that was read already and fully understood. `custom_code` allows the import of the
    plug-ins of its ensemble. Raises `SweepFileError` where an override is no key of the ensemble, and `PluginUnusable`.
    """
    head = get_json(found.store, layout.run_key(found.name, found.run, layout.SWEEP))
    spec = head.get("spec")
    ensemble_record = spec.get("ensemble") if isinstance(spec, dict) else None
    ensemble_record, ignored = _known_part(ensemble_record if isinstance(ensemble_record, dict) else {})
    words = [override.removeprefix("ensemble.") for override in overrides]
    typed = apply_overrides({}, words, ())
    trust(plugin_names({"ensemble": typed}))
    changed = say_metric(apply_overrides(ensemble_record, words, ()), typed)
    if not any(is_plugin(changed.get(key)) for key in EnsembleConfig.PLUGIN_KEYS):
        # Without a plug-in, its recorded keys mean nothing.
        changed = {key: value for key, value in changed.items() if key in EnsembleConfig.model_fields or key in typed}
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
    if custom_code:
        trust(plugin_names({"ensemble": changed}))
    _check_typed(ensemble, typed)
    overridden = {key.partition(".")[0] for key in changed}
    ignored = [key for key in ignored if key.partition("=")[0] not in overridden]
    state.unread.update(f"{layout.SWEEP} with ensemble.{key}" for key in ignored)
    command = str(head.get("command", ""))
    return StoredRun(found.store, found.name, found.run, state, ensemble, command, spec_in(head), tuple(ignored))


def _check_typed(ensemble: EnsembleConfig, typed: Mapping[str, object]) -> None:
    """Raise `PluginUnusable` where a key that a person typed is known to no plug-in of `ensemble`."""
    extra = {key: value for key, value in typed.items() if key not in EnsembleConfig.model_fields}
    if extra:
        check_ensemble_plugins(ensemble, extra)


def _known_part(record: dict[str, object]) -> tuple[dict[str, object], list[str]]:
    """The `ensemble` of a record without the keys and values that this version does not know; and those."""
    known, ignored = dict(record), list[str]()
    for _ in record:
        try:
            EnsembleConfig.model_validate(known)
            break
        except ValidationError as error:
            for problem in error.errors():
                key = str(problem["loc"][0]) if problem["loc"] else ""
                if key in known:
                    ignored.append(f"{key}={str(known.pop(key))[:40]}")
    return known, ignored


def spec_in(head: Mapping[str, object]) -> SweepSpec | None:
    """The sweep in a run's `sweep.json`; None where another version wrote it and this one cannot parse it."""
    try:
        return SweepSpec.model_validate(head.get("spec"))
    except ValidationError:
        return None


def pool_trials(stored: StoredRun) -> list[TrialRecord]:
    """The trials of the run and of the runs that its ensemble names, ranked.

    Which epoch is a trial's best is what its own run measured, also where another vote asks for another metric: so retention can
    tell which checkpoints that is.
    """
    records = rank(list(stored.state.trials.values()))
    if not stored.ensemble.runs or not records:
        return records
    return pool_records(records, read_other_runs(stored.store, stored.ensemble.runs, records[0].config.data_id))


def trust_run(stored: StoredRun) -> None:
    """Allow the import of the plug-ins that a stored run, its trials, or the runs that it pools name: for --custom-code, beside those of
    its ensemble, which `load_run` allows."""
    if stored.spec:
        trust(plugin_names(stored.spec.model_dump(mode="json")))
    configs = [record.config for record in pool_trials(stored)]
    trust(filter(is_plugin, {name for config in configs for name in (config.model.name, config.augment.function)}))
