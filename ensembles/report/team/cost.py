"""The report's section on what the nets cost: accuracy over parameters and arithmetic, and the frontier as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ensembles.evaluation.verdict import Verdict
from ensembles.report.charts.charts import Chart
from ensembles.report.charts.cost import draw_costs
from ensembles.report.charts.counts import show_count
from ensembles.team import Team
from trainables.results.record import TrialCost, TrialRecord, rank

MOST_LINES = 20


@dataclass(frozen=True)
class CostLine:
    """A trial that no cheaper one beats on validation. Sizes and times as a person reads them."""

    trial_id: str
    accuracy: float
    """Validation accuracy of its best epoch."""
    parameters: int
    flops: str
    latency: str
    """Latency of predicting one image."""
    batch_latency: str
    """Latency of an image in a batch."""
    memory: str
    measured: bool
    """Whether the device measured the memory; else it is an estimate."""


@dataclass(frozen=True)
class WayLine:
    """One way to predict, with the sums over its members: all of them predict every image."""

    label: str
    members: int
    test_accuracy: float
    parameters: int
    flops: str
    latency: str
    """Latency of one image, one member after the other."""
    factor: float
    """Its FLOPs relative to the best single checkpoint."""


@dataclass(frozen=True)
class CostSection:
    """What the section shows."""

    charts: tuple[Chart, ...]
    lines: tuple[CostLine, ...]
    more: int
    """Lines with fewer parameters, which are not shown."""
    measured: int
    """Number of trials whose cost is known."""
    ways: tuple[WayLine, ...]
    """The best single checkpoint, the team and the baselines; empty if the cost of their nets is not known."""


def lay_out(records: Sequence[TrialRecord], team: Team, verdict: Verdict | None = None) -> CostSection | None:
    """The section; None if no trial with an epoch was measured."""
    known = [record for record in rank(list(records)) if record.cost and record.best]
    if not known:
        return None
    lines = [line for record in frontier(known) if (line := _line(record))]
    drawn = [draw_costs(known, team, "parameters"), draw_costs(known, team, "flops")]
    return CostSection(
        charts=tuple(chart for chart in drawn if chart),
        lines=tuple(lines[:MOST_LINES]),
        more=max(0, len(lines) - MOST_LINES),
        measured=len(known),
        ways=tuple(_ways(verdict)) if verdict else (),
    )


def _ways(verdict: Verdict) -> list[WayLine]:
    """The best single checkpoint, the team, and the baselines, if all of their nets were measured."""
    top, everyone = verdict.baselines["top"], verdict.baselines["all"]
    named = (
        ("best single checkpoint", verdict.best),
        (f"the team, {verdict.vote} vote", verdict.votes[verdict.vote]),
        (f"soft vote of the best {top.members}", top),
        (f"soft vote of all {everyone.members}", everyone),
    )
    single = verdict.best.cost
    if single is None or single.flops == 0:
        return []
    return [
        WayLine(
            label=label,
            members=score.members,
            test_accuracy=score.test_accuracy,
            parameters=score.cost.parameters,
            flops=show_count(score.cost.flops),
            latency=show_seconds(score.cost.latency_s),
            factor=score.cost.flops / single.flops,
        )
        for label, score in named
        if score.cost
    ]


def frontier(ranked: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Trials that have fewer parameters than all with a better rank, the best first."""
    found: list[TrialRecord] = []
    for record in ranked:
        cost = record.cost
        if cost and (not found or cost.parameters < _parameters(found[-1])):
            found.append(record)
    return found


def _parameters(record: TrialRecord) -> int:
    return record.cost.parameters if record.cost else 0


def _line(record: TrialRecord) -> CostLine | None:
    cost, best = record.cost, record.best
    if cost is None or best is None:
        return None
    return CostLine(
        trial_id=record.trial_id,
        accuracy=best.validation_accuracy,
        parameters=cost.parameters,
        flops=show_count(cost.flops),
        latency=show_seconds(cost.latency_s),
        batch_latency=show_seconds(cost.batch_latency_s / cost.batch),
        memory=show_bytes(cost),
        measured=cost.step_bytes_measured,
    )


def show_seconds(seconds: float) -> str:
    """A short time.

    >>> show_seconds(0.0000752), show_seconds(0.0319), show_seconds(1.2)
    ('75 µs', '32 ms', '1.2 s')
    >>> show_seconds(0.000134)
    '130 µs'
    """
    scale, unit = (1e6, "µs") if seconds < 1e-3 else (1e3, "ms") if seconds < 1 else (1, "s")
    return f"{float(f'{scale * seconds:.2g}'):g} {unit}"


def show_bytes(cost: TrialCost) -> str:
    """The memory of a training step in MiB.

    >>> show_bytes(TrialCost(1, 1, 1.0, 1, 1.0, step_bytes=14_213_984, step_bytes_measured=False))
    '13.6 MiB'
    """
    return f"{cost.step_bytes / 2**20:,.1f} MiB"
