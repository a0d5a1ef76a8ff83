"""From what was trained to a team, a verdict and a report. Needs the store alone: no torch, no Ray, no images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ValidationError

from ensembles.choice import Choice
from ensembles.config import EnsembleConfig
from ensembles.evaluate import Verdict, evaluate, to_json
from ensembles.pool import candidates, read_pool
from ensembles.pseudo_story import PseudoStory
from ensembles.report.page import ReportInput, render_report
from ensembles.report.pruned_section import read_curves
from ensembles.select import select
from ensembles.watch_story import read_watched
from runner import epoch_table
from runner.journal import Journal
from runner.locate import Located
from runner.overrides import apply_overrides
from runner.pseudo_story import tell_pseudo
from runner.run_state import RunState
from runner.spec import SweepSpec, nearest, rule
from runner.story import tell_search
from runner.trial_table import to_parquet
from trainables import layout
from trainables.checkpoint import CheckpointId
from trainables.data_table import DataTable, read_data_table
from trainables.errors import CaucusError, SweepFileError
from trainables.record import TrialRecord, rank
from trainables.store import Store, get_json
from trainables.store import to_json as json_bytes


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


@dataclass(frozen=True)
class Conclusion:
    """What a run has come to."""

    records: list[TrialRecord]
    """All trials, ranked."""
    table: DataTable
    best: CheckpointId
    choice: Choice
    verdict: Verdict
    left_out: tuple[tuple[CheckpointId, str], ...]
    """Checkpoints that could have voted, but whose predictions cannot be read or do not line up."""
    pseudo: PseudoStory | None = None
    """What a second stage with pseudo-labels brought."""


def load_run(found: Located, overrides: list[str]) -> StoredRun:
    """The run at `found`, its ensemble as its sweep says, changed by `overrides` (`ensemble.size=4`, or `size=4`).

    Raises `SweepFileError` where an override is no key of the ensemble.
    """
    head = get_json(found.store, layout.run_key(found.name, found.run, layout.SWEEP))
    spec = head.get("spec")
    told = spec.get("ensemble", {}) if isinstance(spec, dict) else {}
    changed = apply_overrides(told, [word.removeprefix("ensemble.") for word in overrides], ())
    try:
        ensemble = EnsembleConfig.model_validate(changed)
    except ValidationError as error:
        problem = error.errors()[0]
        key = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            raise SweepFileError(
                f"ensemble.{key}: no such key{nearest(key, list(EnsembleConfig.model_fields))}"
            ) from None
        raise SweepFileError(f"ensemble.{key} is {problem['input']!r}: {rule(problem)}") from None
    state = RunState(Journal(found.store, found.name, found.run).events)
    command = str(head.get("command", ""))
    return StoredRun(found.store, found.name, found.run, state, ensemble, command, _read_spec(spec))


def _read_spec(told: object) -> SweepSpec | None:
    """The sweep as the run's head has it; None where another version wrote what this one cannot read."""
    try:
        return SweepSpec.model_validate(told)
    except ValidationError:
        return None


def choose_and_judge(stored: StoredRun) -> Conclusion:
    """Choose the team on validation, let it vote, and judge it on test. Raises `NothingToVote`."""
    records = rank(list(stored.state.trials.values()))
    members = candidates(records, stored.ensemble.pool)
    if not members:
        reason = next(
            (record.reason for record in records if record.reason), "no trial has come to the end of an epoch yet"
        )
        raise NothingToVote(f"{stored.run} has nothing to vote with: {reason}")
    table = read_data_table(stored.store, records[0].config.data_id)
    validation = read_pool(stored.store, members, "validation", table)
    choice = select(validation, stored.ensemble)
    best = select(validation, EnsembleConfig(select="best")).members[0]
    # Only here, after everything has been chosen, are predictions on test opened.
    test = read_pool(stored.store, list(validation.members), "test", table)
    verdict = evaluate(choice, stored.ensemble, validation, test, best)
    pseudo = tell_pseudo(stored.store, stored.state, stored.spec, table, stored.ensemble.vote, choice, best)
    return Conclusion(records, table, best, choice, verdict, validation.left_out + test.left_out, pseudo)


def publish(stored: StoredRun, conclusion: Conclusion, note: str) -> str:
    """Write ensemble.json, trials.parquet, epochs.parquet and report.html of the run; returns where the report lies.

    `note` is a remark for the report, such as that the budget ran out.
    """
    told = {"config": stored.ensemble.model_dump(mode="json"), **to_json(conclusion.verdict, conclusion.choice)}
    if ablation := tell_search(stored.state, stored.spec).ablation:
        told["ablation"] = asdict(ablation)
    stored.store.put(stored.key(layout.ENSEMBLE), json_bytes(told))
    stored.store.put(stored.key(layout.TRIALS_TABLE), to_parquet(conclusion.records))
    epochs = epoch_table.to_parquet(conclusion.records, len(conclusion.table.rows("train")))
    stored.store.put(stored.key(layout.EPOCHS_TABLE), epochs)
    stored.store.put(stored.key(layout.REPORT), render(stored, conclusion, note).encode())
    return f"{stored.store.uri}/{stored.key(layout.REPORT)}"


def write_report(stored: StoredRun, conclusion: Conclusion, note: str, path: str) -> str:
    """Write the report to a file; returns its path. Raises `SweepFileError` where it cannot be written."""
    try:
        Path(path).write_text(render(stored, conclusion, note), encoding="utf-8")
    except OSError as error:
        raise SweepFileError(f"--out is {path!r}: cannot be written ({error.strerror})") from None
    return path


def render(stored: StoredRun, conclusion: Conclusion, note: str) -> str:
    """The report of the run as one HTML document."""
    return render_report(
        ReportInput(
            run=stored.run,
            table=conclusion.table,
            records=conclusion.records,
            choice=conclusion.choice,
            verdict=conclusion.verdict,
            left_out=conclusion.left_out,
            command=stored.command,
            versions=stored.state.versions,
            notes=[note] if note else [],
            search=tell_search(stored.state, stored.spec),
            pseudo=conclusion.pseudo,
            pruned=read_curves(stored.store, stored.name, stored.run_id),
            watched=read_watched(stored.store, conclusion.records, conclusion.choice),
        )
    )
