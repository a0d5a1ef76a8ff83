"""From stored trials to a team, a verdict and a report. Reads nothing but the store: no torch, no Ray, no images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from ensembles.analysis.training_summary import read_statistics
from ensembles.compression.read_curves import read_curves
from ensembles.diagnosis.custom import find_rules
from ensembles.evaluation.by_source import SourceScore
from ensembles.evaluation.evidence import Evidence
from ensembles.evaluation.gather import gather_evidence
from ensembles.evaluation.ledger import COUNTED, Ledger, read_ledger, record_use
from ensembles.evaluation.verdict import Verdict, to_json
from ensembles.nights.summary import NightSummary
from ensembles.pool.candidates import candidates
from ensembles.pool.stored import StoredPool, open_pool
from ensembles.pseudo_labels.summary import PseudoLabelSummary
from ensembles.report.page import ReportInput, render_report, write_files
from ensembles.selection.boosted import with_rounds
from ensembles.selection_bias.corrected import Corrected
from ensembles.team import Team
from runner.evaluation.pseudo_label_summary import summarise_pseudo_labels
from runner.evaluation.search_summary import summarise_search
from runner.evaluation.team import SelectedTeam, choose, costs_of, evaluate_on_test
from runner.output.out_file import write_out
from runner.runs import epoch_table
from runner.runs.compatibility import describe_unread
from runner.runs.nights import read_night
from runner.runs.stored_run import NothingToVote, StoredRun, pool_trials
from runner.runs.trial_table import to_parquet
from runner.runs.vote_cache import open_cache, save_cache
from trainables.data.data_table import DataTable, read_data_table
from trainables.errors import DamagedObject, StoreTooNew
from trainables.results.checkpoint import CheckpointId
from trainables.results.newer_trial import name_keys
from trainables.results.record import TrialRecord, rank
from trainables.store import layout
from trainables.store.json_records import seal_json


@dataclass(frozen=True)
class Conclusion:
    """The results of a run."""

    records: list[TrialRecord]
    """All trials, ranked."""
    table: DataTable
    best: CheckpointId
    team: Team
    verdict: Verdict
    left_out: tuple[tuple[CheckpointId, str], ...]
    """Checkpoints that could have voted, but whose predictions cannot be read or do not line up."""
    pseudo: PseudoLabelSummary | None = None
    """The gain of a second stage with pseudo-labels."""
    corrected: Corrected | None = None
    """Bias-corrected scores on validation; None if the sweep does not ask for them."""
    evidence: Evidence | None = None
    """Further evidence about the team from its predictions."""
    pool: StoredPool | None = None
    """The candidates, for another selection among them."""

    @property
    def sources(self) -> tuple[SourceScore, ...]:
        """Scores by source; empty where images have none."""
        return self.evidence.sources if self.evidence else ()


def check_published(stored: StoredRun) -> None:
    """Raise `StoreTooNew` where a team that is chosen here must not take the place of the one in the store."""
    if stored.ignored_keys:
        raise StoreTooNew(
            f"run {stored.run} in {stored.store.uri} was written by a newer Caucus, whose vote has {name_keys(stored.ignored_keys)}: "
            "report it with that version, or write a page without it to a file of your own with --out"
        )


def choose_and_evaluate(stored: StoredRun) -> Conclusion:
    """Select the team on validation, let it vote, and evaluate it on test. Raises `NothingToVote`. Writes nothing."""
    records = pool_trials(stored)
    config = with_rounds(stored.ensemble, stored.state.trials.values())
    return evaluate_team(stored, choose(open_candidates(stored, records), config, costs_of(records)))


def evaluate_team(stored: StoredRun, selected: SelectedTeam) -> Conclusion:
    """The evaluation on test of a team that was selected for the run."""
    # Only here, after everything has been chosen, are predictions on test opened.
    evaluation = evaluate_on_test(selected)
    table, team, best = selected.pool.table, selected.team, evaluation.verdict.best_member
    return Conclusion(
        records=rank(list(stored.state.trials.values())),
        table=table,
        best=best,
        team=team,
        verdict=evaluation.verdict,
        left_out=selected.pool.true_class.left_out + evaluation.untested,
        pseudo=summarise_pseudo_labels(stored.store, stored.state, stored.spec, table, stored.ensemble, team, best),
        corrected=selected.corrected,
        evidence=gather_evidence(
            evaluation.prepared,
            selected.validation,
            evaluation.test,
            table.ids_of("test"),
            table.sources_of("test"),
            table.ids_of("validation"),
        ),
        pool=selected.pool,
    )


def open_candidates(stored: StoredRun, records: list[TrialRecord]) -> StoredPool:
    """The candidates among the trials in `records`, by the rule of the run's ensemble. Raises `NothingToVote`."""
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
    """Count the team as a decision on validation, and its verdict as a use of test."""
    decided = {"ensemble": stored.ensemble.model_dump(mode="json", exclude_defaults=True)}
    return record_use(stored.store, conclusion.table.data_id, _images_of(conclusion.table), stored.run, decided)


def _images_of(table: DataTable) -> dict[str, int]:
    return {split: len(table.rows(split)) for split in COUNTED}


def publish(stored: StoredRun, conclusion: Conclusion, note: str) -> str:
    """Enter the decision into the ledger, and write ensemble.json, the run's tables and its report; returns the report's URI.

    `note` is a remark for the report, such as that the budget ran out.
    """
    enter_into_ledger(stored, conclusion)
    record = {"config": stored.ensemble.model_dump(mode="json"), **to_json(conclusion.verdict, conclusion.team)}
    if ablation := summarise_search(stored.state, stored.spec).ablation:
        record["ablation"] = asdict(ablation)
    stored.store.put(stored.key(layout.ENSEMBLE), seal_json(record))
    stored.store.put(stored.key(layout.TRIALS_TABLE), to_parquet(conclusion.records))
    epochs = epoch_table.to_parquet(conclusion.records, len(conclusion.table.rows("train")))
    stored.store.put(stored.key(layout.EPOCHS_TABLE), epochs)
    for part, body in write_files(report_input(stored, conclusion, note)).items():
        stored.store.put(stored.key(part), body)
    if conclusion.pool:
        conclusion.pool.save_means()  # so that another vote of many checkpoints need not read them all
        save_cache(conclusion.pool.store)
    return f"{stored.store.uri}/{stored.key(layout.REPORT)}"


def write_report(stored: StoredRun, conclusion: Conclusion, note: str, path: Path) -> str:
    """Write the report to a file, whole or not at all; returns its path. Raises `SweepFileError` if it cannot be written."""
    write_out(path, render(stored, conclusion, note).encode())
    return str(path)


def render(stored: StoredRun, conclusion: Conclusion, note: str) -> str:
    """The report of the run as one HTML document."""
    return render_report(report_input(stored, conclusion, note))


def report_input(stored: StoredRun, conclusion: Conclusion, note: str) -> ReportInput:
    """The input of the run's report."""
    ledger = read_ledger(stored.store, conclusion.table.data_id, _images_of(conclusion.table))
    unread = describe_unread(stored.state.unread)
    return ReportInput(
        run=stored.run,
        table=conclusion.table,
        records=conclusion.records,
        team=conclusion.team,
        verdict=conclusion.verdict,
        left_out=conclusion.left_out,
        command=stored.command,
        versions=stored.state.versions,
        notes=[*([note] if note else []), *ledger.warnings, *([unread] if unread else [])],
        search=summarise_search(stored.state, stored.spec),
        pseudo=conclusion.pseudo,
        pruned=read_curves(stored.store, stored.name, stored.run_id),
        monitored=read_statistics(
            conclusion.pool.store if conclusion.pool else stored.store, conclusion.records, conclusion.team
        ),
        evidence=conclusion.evidence,
        corrected=conclusion.corrected,
        night=_night_of(stored),
        rules=find_rules(stored.spec.diagnosis.rules) if stored.spec else (),
    )


def _night_of(stored: StoredRun) -> NightSummary | None:
    """The summary of the run as a night; None if it is none, or if its record cannot be read: a report must not fail for it."""
    try:
        return read_night(stored.store, stored.name, stored.run_id)
    except DamagedObject:
        return None
