"""The report of a run: laid out once, then written as one HTML file that needs no network, and as JSON."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ensembles.analysis.search_summary import SearchSummary
from ensembles.analysis.training_summary import MonitoredTrial
from ensembles.analysis.varied_keys import keys_that_vary
from ensembles.compression.pruned_curve import PrunedCurve
from ensembles.diagnosis.diagnose import diagnose_all
from ensembles.diagnosis.rules import Rule
from ensembles.diagnosis.signs import setting_of
from ensembles.evaluation.evidence import Evidence
from ensembles.evaluation.verdict import Verdict
from ensembles.nights.summary import NightSummary
from ensembles.pseudo_labels.summary import PseudoLabelSummary
from ensembles.report.sweep import data as data_section
from ensembles.report.sweep import diagnosis as diagnosis_section
from ensembles.report.sweep import ladder as ladder_section
from ensembles.report.sweep import night as night_section
from ensembles.report.sweep import pruned as pruned_section
from ensembles.report.sweep import pseudo_labels as pseudo_section
from ensembles.report.sweep import search as search_section
from ensembles.report.sweep import sweep as sweep_section
from ensembles.report.sweep import training as training_section
from ensembles.report.sweep import trials as trials_section
from ensembles.report.team import agreement as agreement_section
from ensembles.report.team import baselines as baselines_section
from ensembles.report.team import classes as classes_section
from ensembles.report.team import cost as cost_section
from ensembles.report.team import images as images_section
from ensembles.report.team import path as path_section
from ensembles.report.team import reliability as reliability_section
from ensembles.report.team import sources as sources_section
from ensembles.report.team import team as team_section
from ensembles.report.team import verdict as verdict_section
from ensembles.report.to_json import to_plain
from ensembles.team import Team
from trainables.data.data_table import DataTable
from trainables.metric import describe_merit
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord, rank
from trainables.store import layout
from trainables.store.json_records import to_json

if TYPE_CHECKING:
    from ensembles.selection_bias.corrected import Corrected


@dataclass(frozen=True, eq=False)
class ReportInput:
    """Everything that a report shows."""

    run: str
    """`<name>/<run>`."""
    table: DataTable
    records: list[TrialRecord]
    team: Team
    verdict: Verdict
    left_out: Sequence[tuple[CheckpointId, str]]
    """Checkpoints that could have voted, but whose predictions could not be used, with the reason."""
    command: str
    """The one command that reproduces the run."""
    versions: dict[str, str]
    """Versions of everything that determines the numbers."""
    notes: list[str]
    """What a reader must know beside the verdict: why the run ended early, what was skipped."""
    search: SearchSummary = field(default_factory=SearchSummary)
    """Decisions and results of the search."""
    pseudo: PseudoLabelSummary | None = None
    """Gains of a second stage with pseudo-labels."""
    pruned: Sequence[PrunedCurve] = ()
    """Accuracy against sparsity, if checkpoints of the run were sparsified."""
    monitored: Sequence[MonitoredTrial] = ()
    """The team's trials with their statistics from training."""
    evidence: Evidence | None = None
    """Evidence on the team beside its scores."""
    corrected: Corrected | None = None
    """The team's validation scores, corrected for selection bias."""
    night: NightSummary | None = None
    """For a night, its comparison with the last accepted one."""
    rules: Sequence[Rule] = ()
    """Custom rules of its diagnosis."""


@dataclass(frozen=True)
class Provenance:
    """Where the figures come from."""

    run: str
    data_id: str
    versions: dict[str, str]
    command: str


@dataclass(frozen=True)
class Report:
    """The whole report, laid out in its order; a section without content is None."""

    run: str
    notes: tuple[str, ...]
    verdict: verdict_section.VerdictSection
    night: night_section.NightSection | None
    ladder: ladder_section.LadderSection
    baselines: baselines_section.BaselinesSection
    path: path_section.PathSection | None
    team: team_section.TeamSection
    agreement: agreement_section.AgreementSection | None
    reliability: reliability_section.ReliabilitySection | None
    classes: classes_section.ClassesSection | None
    sources: sources_section.SourcesSection | None
    images: images_section.ImagesSection | None
    cost: cost_section.CostSection | None
    sweep: sweep_section.SweepSection | None
    search: search_section.SearchSection | None
    pseudo: pseudo_section.PseudoSection | None
    pruned: pruned_section.PrunedSection | None
    trials: trials_section.TrialsSection
    data: data_section.DataSection
    diagnosis: diagnosis_section.DiagnosisSection | None
    watch: training_section.TrainingSection | None
    provenance: Provenance


def lay_out(inputs: ReportInput) -> Report:
    """The report, ready to be written as HTML and JSON. The same input gives the same layout."""
    ranked = rank(inputs.records)
    keys = keys_that_vary(ranked)
    verdict, team, evidence, corrected = inputs.verdict, inputs.team, inputs.evidence, inputs.corrected
    trials = trials_section.lay_out(ranked, team, keys)
    records = {record.trial_id: record for record in ranked}
    places = {row.trial_id: row.rank for row in trials.rows}
    return Report(
        run=inputs.run,
        notes=tuple(inputs.notes),
        verdict=verdict_section.lay_out(verdict, team),
        night=night_section.lay_out(inputs.night) if inputs.night else None,
        ladder=ladder_section.lay_out(verdict),
        baselines=baselines_section.lay_out(verdict),
        path=path_section.lay_out(team, corrected),
        team=team_section.lay_out(team, evidence, corrected, records, places, keys),
        agreement=agreement_section.lay_out(team, evidence),
        reliability=reliability_section.lay_out(evidence),
        classes=classes_section.lay_out(evidence),
        sources=sources_section.lay_out(evidence),
        images=images_section.lay_out(evidence, len(team.members)),
        cost=cost_section.lay_out(ranked, team, verdict),
        sweep=sweep_section.lay_out(ranked, team, inputs.search, keys),
        search=search_section.lay_out(inputs.search),
        pseudo=pseudo_section.lay_out(inputs.pseudo) if inputs.pseudo else None,
        pruned=pruned_section.lay_out(inputs.pruned),
        trials=trials,
        data=data_section.lay_out(inputs.table, inputs.left_out),
        diagnosis=diagnosis_section.lay_out(diagnose_all(ranked, setting_of(inputs.table), inputs.rules)),
        watch=training_section.lay_out(inputs.monitored),
        provenance=Provenance(inputs.run, inputs.table.data_id, inputs.versions, inputs.command),
    )


def write_html(report: Report) -> str:
    """The report as one HTML document. The same report gives the same bytes."""
    folder = Path(__file__).parent
    page = Environment(
        loader=FileSystemLoader(folder / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page.filters |= {
        "percent": lambda share: f"{share:.2%}",
        "points": lambda share: f"{100 * share:+.2f}",
        "count": lambda number: f"{number:,}",
        "decimals": lambda number: f"{number:.4f}",
        "merit": lambda merit, metric: describe_merit(metric, merit),
        "drawing": Markup,  # for charts alone
    }
    script = (folder / "templates" / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return page.get_template("report.html.j2").render(
        report=report,
        places={row.trial_id: row.rank for row in report.trials.rows},
        script=Markup(script),  # our own file, without untrusted text
        script_sha256=digest,
        **{name: getattr(report, name) for name in report.__dataclass_fields__},
    )


def report_to_json(report: Report) -> dict[str, Any]:
    """The report's figures as one JSON object: a key for each section, null if it has no content."""
    return {name: to_plain(getattr(report, name)) for name in report.__dataclass_fields__}


def render_report(given: ReportInput) -> str:
    """The report as one HTML document: laid out and written. The same input gives the same bytes."""
    return write_html(lay_out(given))


def write_files(given: ReportInput) -> dict[str, bytes]:
    """What a run keeps of its report, by name: the page, its figures as JSON, and where it is known the missed images."""
    report = lay_out(given)
    files = {layout.REPORT: write_html(report).encode(), layout.REPORT_JSON: to_json(report_to_json(report))}
    if given.evidence:
        files[layout.MISSED] = images_section.missed_csv(given.evidence)
    return files
