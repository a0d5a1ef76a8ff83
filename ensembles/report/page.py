"""The report of a run: one HTML file that needs no network and says first what matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ensembles.choice import Choice
from ensembles.diagnosis.diagnose import diagnose_all
from ensembles.diagnosis.signs import setting_of
from ensembles.evaluate import Score, Verdict
from ensembles.pruned_curve import PrunedCurve
from ensembles.pseudo_story import PseudoStory
from ensembles.report.charts import Chart, draw_greedy_path, draw_learning_curves
from ensembles.report.cost_section import lay_out as lay_out_cost
from ensembles.report.diagnosis_section import lay_out as lay_out_diagnosis
from ensembles.report.hyperparameters import keys_that_vary, show_value
from ensembles.report.pruned_section import lay_out as lay_out_pruned
from ensembles.report.pseudo_section import lay_out as lay_out_pseudo
from ensembles.report.search_section import lay_out
from ensembles.report.watch_section import lay_out as lay_out_watch
from ensembles.search_story import SearchStory
from ensembles.watch_story import WatchedTrial
from trainables import layout
from trainables.checkpoint import CheckpointId
from trainables.data_table import DataTable
from trainables.record import TrialRecord, rank

RowKind = Literal["single", "vote", "chosen", "baseline"]
"""chosen: the vote that the sweep file asks for."""


@dataclass(frozen=True, eq=False)
class ReportInput:
    """Everything that a report tells."""

    run: str
    """`<name>/<run>`."""
    table: DataTable
    records: list[TrialRecord]
    choice: Choice
    verdict: Verdict
    left_out: Sequence[tuple[CheckpointId, str]]
    """Checkpoints that could have voted, but whose predictions could not be used, with the reason."""
    command: str
    """The one command that reproduces the run."""
    versions: dict[str, str]
    """Of everything that decides numbers."""
    notes: list[str]
    """What a reader must know beside the verdict: why the run ended early, what was skipped."""
    search: SearchStory = field(default_factory=SearchStory)
    """What the search did and found out."""
    pseudo: PseudoStory | None = None
    """What a second stage with pseudo-labels brought."""
    pruned: Sequence[PrunedCurve] = ()
    """Accuracy against sparsity, where checkpoints of the run were pruned."""
    watched: Sequence[WatchedTrial] = ()
    """The team's trials with what was seen while they trained."""


@dataclass(frozen=True)
class ScoreRow:
    """A line of the table of scores. Positions of the interval's drawing are percents of its width."""

    label: str
    kind: RowKind
    score: Score
    low: float
    dot: float
    high: float


@dataclass(frozen=True)
class MemberRow:
    """A line of the table of the team."""

    member: CheckpointId
    weight: float
    weight_share: float
    """Of the heaviest member's weight."""
    rank: int | None
    accuracy: float | None
    """Alone, on validation."""
    values: list[str]


@dataclass(frozen=True)
class TrialRow:
    """A line of the table of trials."""

    rank: int
    record: TrialRecord
    told: str
    """Its state, and the reason where there is one."""
    votes: bool
    values: list[str]


def render_report(given: ReportInput) -> str:
    """The report as one HTML document. The same input gives the same bytes."""
    page = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
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
        "drawing": Markup,  # for charts alone
    }
    ranked = rank(given.records)
    keys = keys_that_vary(ranked)
    rows = _trial_rows(ranked, given.choice, keys)
    scores = _score_rows(given.verdict)
    return page.get_template("report.html.j2").render(
        given=given,
        verdict=given.verdict,
        choice=given.choice,
        sentences=_sentences(given.verdict, given.choice),
        vote=given.verdict.votes[given.verdict.vote],
        scores=scores,
        guide=scores[0].dot,
        keys=[key.rpartition(".")[::2] for key in keys],
        how=_tell_how(given.choice),
        team=_member_rows(given.choice, rows, keys),
        trials=rows,
        states=_count_states(ranked),
        search=lay_out(given.search),
        pseudo=lay_out_pseudo(given.pseudo) if given.pseudo else None,
        pruned=lay_out_pruned(given.pruned),
        watch=lay_out_watch(given.watched),
        places={row.record.trial_id: row.rank for row in rows},
        curves=_markup(draw_learning_curves(ranked, given.choice)),
        path=_markup(draw_greedy_path(given.choice)),
        cost=lay_out_cost(ranked, given.choice),
        diagnosis=lay_out_diagnosis(diagnose_all(ranked, setting_of(given.table))),
        images={split: len(given.table.rows(split)) for split in layout.SPLITS},
    )


def _sentences(verdict: Verdict, choice: Choice) -> list[str]:
    """The verdict in at most three sentences."""
    finding = verdict.sentence.removeprefix(f"{verdict.headline}: ")  # the headline stands above already
    told = [finding[:1].upper() + finding[1:]]
    if verdict.fixed or verdict.broken:
        told.append(
            f"It puts {verdict.fixed:,} images right on which the best single checkpoint is wrong, and gets "
            f"{verdict.broken:,} wrong on which that is right."
        )
    if choice.members != (verdict.best_member,):
        vote = verdict.votes[verdict.vote]
        told.append(
            f"On validation it scores {vote.validation_accuracy:.2%}, but it was chosen there: "
            "only test is an honest estimate."
        )
    return told


def _tell_how(choice: Choice) -> str:
    """How the team came about."""
    many = f"{len(choice.members)} checkpoint{'' if len(choice.members) == 1 else 's'}"
    if choice.how == "greedy":
        return (
            f"{many} from the first {choice.kept_picks} of {len(choice.picks)} greedy picks with replacement (Caruana 2004), each the one "
            f"that left the team with the best {choice.metric.replace('_', '-')} on validation."
        )
    return {
        "best": "The checkpoint with the highest validation accuracy.",
        "top": f"The {many} with the highest validation accuracy.",
        "all": f"All {many} that could vote.",
    }[choice.how]


def _score_rows(verdict: Verdict) -> list[ScoreRow]:
    """The best single, the team by every vote, the baselines; their intervals drawn on one scale."""
    named: list[tuple[str, RowKind, Score]] = [("best single checkpoint", "single", verdict.best)]
    for method, score in verdict.votes.items():
        named.append((f"{method} vote", "chosen" if method == verdict.vote else "vote", score))
    top, everyone = verdict.baselines["top"], verdict.baselines["all"]
    named.append((f"soft vote of the best {top.members}", "baseline", top))
    named.append((f"soft vote of all {everyone.members}", "baseline", everyone))
    lowest = min(score.ci95[0] for _, _, score in named)
    width = max(max(score.ci95[1] for _, _, score in named) - lowest, 1e-9)

    def place(share: float) -> float:
        return round(4 + 92 * (share - lowest) / width, 2)

    return [
        ScoreRow(
            label=label,
            kind=kind,
            score=score,
            low=place(score.ci95[0]),
            dot=place(score.test_accuracy),
            high=place(score.ci95[1]),
        )
        for label, kind, score in named
    ]


def _trial_rows(ranked: list[TrialRecord], choice: Choice, keys: list[str]) -> list[TrialRow]:
    voting = {member.trial_id for member in choice.members}
    return [
        TrialRow(place, record, _tell_state(record), record.trial_id in voting, _values(record, keys))
        for place, record in enumerate(ranked, start=1)
    ]


def _tell_state(record: TrialRecord) -> str:
    """`pruned at epoch 3`, `diverged: loss is nan`: the state is named once."""
    if not record.reason or record.reason.startswith(record.state):
        return record.reason or record.state
    return f"{record.state}: {record.reason}"


def _member_rows(choice: Choice, trials: list[TrialRow], keys: list[str]) -> list[MemberRow]:
    """Heaviest first; of equals in the order in which they were chosen."""
    known = {row.record.trial_id: row for row in trials}
    heaviest = max(choice.weights)
    rows = []
    for member, weight in sorted(zip(choice.members, choice.weights, strict=True), key=lambda pair: -pair[1]):
        trial = known.get(member.trial_id)
        epochs = trial.record.epochs if trial else ()
        rows.append(
            MemberRow(
                member=member,
                weight=weight,
                weight_share=weight / heaviest,
                rank=trial.rank if trial else None,
                accuracy=next((at.validation_accuracy for at in epochs if at.epoch == member.epoch), None),
                values=trial.values if trial else ["-"] * len(keys),
            )
        )
    return rows


def _values(record: TrialRecord, keys: list[str]) -> list[str]:
    config = record.config.flat()
    return [show_value(config.get(key)) for key in keys]


def _count_states(records: list[TrialRecord]) -> str:
    """`24 trials: 3 finished, 21 pruned`."""
    states = [record.state for record in records]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return f"{len(states):,} trial{'' if len(states) == 1 else 's'}: {', '.join(counts)}"


def _markup(chart: Chart | None) -> tuple[Markup, str] | None:
    """The chart's SVG, which matplotlib has made of numbers alone, marked as safe; and its caption."""
    return (Markup(chart.svg), chart.caption) if chart else None
