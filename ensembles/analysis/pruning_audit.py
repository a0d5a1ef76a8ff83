"""Estimates what pruning missed, from a few pruned trials that were trained to their end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainables.metric import Metric
from trainables.results.record import TrialRecord, metric_of

TOP = 3
"""A pruned trial counts as missed at the top if it would have been among this many best trials."""


@dataclass(frozen=True)
class AuditedTrial:
    """A pruned trial that was trained on to its last epoch, without any effect on the search."""

    record: TrialRecord
    pruned_epoch: int


@dataclass(frozen=True)
class AuditRow:
    """The rank that an audited trial would have had."""

    audited: AuditedTrial
    accuracy_when_pruned: float | None
    """Merit of its best epoch until it was pruned, the accuracy or see `EpochResult.merit`; None if it had none."""
    accuracy: float
    """Merit of its best epoch."""
    rank: int
    """Rank among the finished trials and itself, behind those that are equal."""


@dataclass(frozen=True)
class PruningAudit:
    """The audited trials among the finished ones."""

    rows: tuple[AuditRow, ...]
    """The best first."""
    finished: int
    """Trials that finished."""
    best: float
    """Merit of the best finished trial on validation."""
    top: int
    """Number of best finished trials that `beat_top` refers to."""
    beat_top: int
    """Audited trials that would have been among the `top` best."""
    beat_best: int
    """Audited trials that would have been the best."""
    pruned: int
    """Trials that were pruned, audited or not."""
    share_below: float
    """Upper 95 % bound of the share of pruned trials that would have been the best, if the audited ones were drawn at random."""
    cut_short: int
    """Audits that were not completed."""
    sentence: str
    metric: Metric = "accuracy"
    """What the merits are by."""


def evaluate_pruning(
    records: Sequence[TrialRecord], audited: Sequence[AuditedTrial], top: int = TOP
) -> PruningAudit | None:
    """The rank of each of `audited` among the finished of `records`; None without an audit or a finished trial.

    An audit counts once it has as many epochs as the shortest finished trial, or has diverged. Equals are placed behind
    the finished: pruning missed nothing by ending a trial that is no better.
    """
    names = {each.record.trial_id for each in audited}
    finished = sorted(
        (
            record.best.merit
            for record in records
            if record.state == "finished" and record.best and record.trial_id not in names
        ),
        reverse=True,
    )
    if not finished or not audited:
        return None
    last = min(
        record.epochs[-1].epoch
        for record in records
        if record.state == "finished" and record.epochs and record.trial_id not in names
    )
    rows = [_row(each, finished) for each in audited if _has_ended(each.record, last)]
    rows.sort(key=lambda row: (-row.accuracy, row.audited.record.trial_id))
    if not rows:
        return None
    pruned = sum(record.state == "pruned" or record.trial_id in names for record in records)
    pruned = max(pruned, len(audited))
    kept = min(top, len(finished))
    beat_best = sum(row.accuracy > finished[0] for row in rows)
    beat_top = sum(row.accuracy > finished[kept - 1] for row in rows)
    bound = share_at_most(beat_best, len(rows)) if len(rows) < pruned else beat_best / pruned
    return PruningAudit(
        rows=tuple(rows),
        finished=len(finished),
        best=finished[0],
        top=kept,
        beat_top=beat_top,
        beat_best=beat_best,
        pruned=pruned,
        share_below=bound,
        cut_short=len(audited) - len(rows),
        sentence=_describe(rows, len(finished), finished[0], kept, beat_top, beat_best, pruned, bound),
        metric=metric_of(records),
    )


def share_at_most(hits: int, draws: int) -> float:
    """Upper end of the one-sided 95 % interval of a share (Clopper and Pearson 1934) of which `draws` showed `hits`.

    Exact where the rule of three (3 / draws without a hit; Hanley and Lippman-Hand 1983) is an approximation for many
    draws. Drawing without replacement, as audits are drawn, can only make the true bound lower.

    >>> round(share_at_most(0, 2), 4)
    0.7764
    """
    if hits >= draws:
        return 1.0
    from scipy.special import betaincinv  # a light report does without scipy

    return float(betaincinv(hits + 1, draws - hits, 0.95))


def _has_ended(record: TrialRecord, last: int) -> bool:
    return bool(record.epochs) and (record.state == "diverged" or record.epochs[-1].epoch >= last)


def _row(audited: AuditedTrial, finished: Sequence[float]) -> AuditRow:
    best = audited.record.best
    assert best is not None, "an audit that has ended has an epoch"
    before = [at.merit for at in audited.record.epochs if at.epoch <= audited.pruned_epoch]
    own = best.merit
    return AuditRow(audited, max(before, default=None), own, 1 + sum(other >= own for other in finished))


def _describe(
    rows: Sequence[AuditRow],
    finished: int,
    best: float,
    top: int,
    beat_top: int,
    beat_best: int,
    pruned: int,
    bound: float,
) -> str:
    """The finding in words."""
    many, first = len(rows), rows[0]
    subject = {1: "it", 2: "the better one"}.get(many, "the best of them")
    gap = 100 * (first.accuracy - best)
    away = (
        f"{abs(gap):.1f} points {'above' if gap > 0 else 'below'} the best"
        if abs(gap) >= 0.05
        else "level with the best"
    )
    found = (
        f"{_count(many, 'pruned trial')} {'was' if many == 1 else 'were'} trained to the end: {subject} would have been "
        f"rank {first.rank} of {finished + 1}, {away}; "
    )
    if beat_best:
        found += f"{beat_best} of {many} would have been better than the best that finished."
    elif beat_top:
        found += f"{beat_top} of {many} would have been among the first {top}, none the best."
    else:
        found += "pruning missed nothing at the top."
    if many == pruned:
        return f"{found} No other trial was pruned."
    return (
        f"{found} With {many} of {pruned} pruned trials audited, at most {bound:.0%} of the pruned would have "
        "been the best (95 % confidence)."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
