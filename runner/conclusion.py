"""From what was trained to a team, a verdict and a report. Needs the store alone: no torch, no Ray, no images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ValidationError

from ensembles.candidates import candidates
from ensembles.choice import Choice
from ensembles.config import EnsembleConfig
from ensembles.evaluate import Verdict, to_json
from ensembles.honest.corrected import Corrected
from ensembles.honest.evidence import Evidence
from ensembles.honest.gather import gather_evidence
from ensembles.honest.ledger import COUNTED, Ledger, read_ledger, record_look
from ensembles.night_story import NightStory
from ensembles.pseudo_story import PseudoStory
from ensembles.report.page import ReportInput, render_report, write_files
from ensembles.report.pruned_section import read_curves
from ensembles.selection.boosted import with_rounds
from ensembles.stored_pool import StoredPool, open_pool
from ensembles.watch_story import read_watched
from runner import epoch_table
from runner.accepted import read_night
from runner.journal import read_state
from runner.judge import Chosen, choose, costs_of, judge_on_test
from runner.locate import Located
from runner.messages import nearest, rule
from runner.out_file import write_out
from runner.overrides import apply_overrides
from runner.parts_cache import keep_cache, open_cache
from runner.pooled_runs import pool_records, read_other_runs
from runner.pseudo_story import tell_pseudo
from runner.run_state import RunState
from runner.spec import SweepSpec
from runner.story import tell_search
from runner.trial_table import to_parquet
from runner.understood import tell_unread
from trainables import layout
from trainables.checkpoint import CheckpointId
from trainables.data_table import DataTable, read_data_table
from trainables.errors import CaucusError, DamagedObject, StoreTooNew, SweepFileError
from trainables.listing import Listing
from trainables.newer_trial import name_keys
from trainables.record import TrialRecord, rank
from trainables.store import Store, get_json, seal_json


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
    corrected: Corrected | None = None
    """What the scores on validation are worth without the luck of having been selected there; None where that was not asked."""
    evidence: Evidence | None = None
    """What the predictions say of the team beside its scores."""
    pool: StoredPool | None = None
    """The candidates, for another choice among them."""


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


def check_published(stored: StoredRun) -> None:
    """Raise `StoreTooNew` where a team that is chosen here must not take the place of the one in the store."""
    if stored.unasked:
        raise StoreTooNew(
            f"run {stored.run} in {stored.store.uri} was written by a newer Caucus, whose vote has {name_keys(stored.unasked)}: "
            "report it with that version, or write a page without it to a file of your own with --out"
        )


def spec_in(head: Mapping[str, object]) -> SweepSpec | None:
    """The sweep as a run's head has it; None where another version wrote what this one cannot read."""
    try:
        return SweepSpec.model_validate(head.get("spec"))
    except ValidationError:
        return None


def choose_and_judge(stored: StoredRun) -> Conclusion:
    """Choose the team on validation, let it vote, and judge it on test. Raises `NothingToVote`. Writes nothing."""
    records = pool_trials(stored)
    config = with_rounds(stored.ensemble, stored.state.trials.values())
    return judge_team(stored, choose(open_candidates(stored, records), config, costs_of(records)))


def judge_team(stored: StoredRun, chosen: Chosen) -> Conclusion:
    """The judgement on a team that was chosen for the run."""
    # Only here, after everything has been chosen, are predictions on test opened.
    judged = judge_on_test(chosen)
    table, choice, best = chosen.pool.table, chosen.choice, judged.verdict.best_member
    image_ids = [table.image_ids[row] for row in table.rows("test")]
    return Conclusion(
        records=rank(list(stored.state.trials.values())),
        table=table,
        best=best,
        choice=choice,
        verdict=judged.verdict,
        left_out=chosen.pool.truth.left_out + judged.untested,
        pseudo=tell_pseudo(stored.store, stored.state, stored.spec, table, stored.ensemble.vote, choice, best),
        corrected=chosen.corrected,
        evidence=gather_evidence(judged.prepared, chosen.validation, judged.test, image_ids),
        pool=chosen.pool,
    )


def pool_trials(stored: StoredRun) -> list[TrialRecord]:
    """The run's trials with those of the runs that its ensemble names, ranked."""
    records = rank(list(stored.state.trials.values()))
    if not stored.ensemble.runs or not records:
        return records
    return pool_records(records, read_other_runs(stored.store, stored.ensemble.runs, records[0].config.data_id))


def open_candidates(stored: StoredRun, records: list[TrialRecord]) -> StoredPool:
    """Who may vote of the trials in `records`, by the rule of the run's ensemble. Raises `NothingToVote`."""
    members = candidates(records, stored.ensemble.pool)
    if not members:
        reason = next(
            (record.reason for record in records if record.reason), "no trial has come to the end of an epoch yet"
        )
        raise NothingToVote(f"{stored.run} has nothing to vote with: {reason}")
    table = read_data_table(stored.store, records[0].config.data_id)
    store = open_cache(stored.store, stored.key(layout.PARTS_CACHE), members, stored.listing)
    return open_pool(store, members, table)


def enter_into_ledger(stored: StoredRun, conclusion: Conclusion) -> Ledger:
    """Count the team as a decision on validation, and its verdict as a look at test."""
    decided = {"ensemble": stored.ensemble.model_dump(mode="json", exclude_defaults=True)}
    return record_look(stored.store, conclusion.table.data_id, _images_of(conclusion.table), stored.run, decided)


def _images_of(table: DataTable) -> dict[str, int]:
    return {split: len(table.rows(split)) for split in COUNTED}


def publish(stored: StoredRun, conclusion: Conclusion, note: str) -> str:
    """Enter the decision into the ledger, and write ensemble.json, the run's tables and its report; returns where that lies.

    `note` is a remark for the report, such as that the budget ran out.
    """
    enter_into_ledger(stored, conclusion)
    told = {"config": stored.ensemble.model_dump(mode="json"), **to_json(conclusion.verdict, conclusion.choice)}
    if ablation := tell_search(stored.state, stored.spec).ablation:
        told["ablation"] = asdict(ablation)
    stored.store.put(stored.key(layout.ENSEMBLE), seal_json(told))
    stored.store.put(stored.key(layout.TRIALS_TABLE), to_parquet(conclusion.records))
    epochs = epoch_table.to_parquet(conclusion.records, len(conclusion.table.rows("train")))
    stored.store.put(stored.key(layout.EPOCHS_TABLE), epochs)
    for part, body in write_files(report_input(stored, conclusion, note)).items():
        stored.store.put(stored.key(part), body)
    if conclusion.pool:
        conclusion.pool.keep_means()  # so that another vote of many checkpoints need not read them all
        keep_cache(conclusion.pool.store)
    return f"{stored.store.uri}/{stored.key(layout.REPORT)}"


def write_report(stored: StoredRun, conclusion: Conclusion, note: str, path: Path) -> str:
    """Write the report to a file, whole or not at all; returns its path. Raises `SweepFileError` where it cannot be written."""
    write_out(path, render(stored, conclusion, note).encode())
    return str(path)


def render(stored: StoredRun, conclusion: Conclusion, note: str) -> str:
    """The report of the run as one HTML document."""
    return render_report(report_input(stored, conclusion, note))


def report_input(stored: StoredRun, conclusion: Conclusion, note: str) -> ReportInput:
    """Everything that the report of the run tells."""
    ledger = read_ledger(stored.store, conclusion.table.data_id, _images_of(conclusion.table))
    unread = tell_unread(stored.state.unread)
    return ReportInput(
        run=stored.run,
        table=conclusion.table,
        records=conclusion.records,
        choice=conclusion.choice,
        verdict=conclusion.verdict,
        left_out=conclusion.left_out,
        command=stored.command,
        versions=stored.state.versions,
        notes=[*([note] if note else []), *ledger.warnings, *([unread] if unread else [])],
        search=tell_search(stored.state, stored.spec),
        pseudo=conclusion.pseudo,
        pruned=read_curves(stored.store, stored.name, stored.run_id),
        watched=read_watched(
            conclusion.pool.store if conclusion.pool else stored.store, conclusion.records, conclusion.choice
        ),
        evidence=conclusion.evidence,
        corrected=conclusion.corrected,
        night=_night_of(stored),
    )


def _night_of(stored: StoredRun) -> NightStory | None:
    """What the run came to as a night; a record that cannot be read is left out: a report must not fail for it."""
    try:
        return read_night(stored.store, stored.name, stored.run_id)
    except DamagedObject:
        return None
