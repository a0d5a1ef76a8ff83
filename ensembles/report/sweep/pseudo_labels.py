"""The report's section on pseudo-labels: a `PseudoLabelSummary` as sentences and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ensembles.evaluation.comparison import Change
from ensembles.pseudo_labels.labelling import ClassLabels, LabelCount, Labelling
from ensembles.pseudo_labels.summary import Gain, PseudoLabelSummary, TrialPair

MOST_CLASSES = 200
"""Of more classes, those with the most labelled images are shown."""


@dataclass(frozen=True)
class PseudoSection:
    """What the section shows; each part may be missing."""

    sentences: tuple[str, ...]
    gains: tuple[Gain, ...]
    pairs: tuple[TrialPair, ...]
    pairs_sentence: str
    classes: tuple[ClassLabels, ...]
    more_classes: int
    """Classes that are not shown."""
    thresholds: tuple[tuple[float, LabelCount], ...]
    asked_confidence: float | None
    """The configured confidence, one of `thresholds`."""
    truth_is_known: bool
    table: str


def lay_out(summary: PseudoLabelSummary) -> PseudoSection:
    """The section."""
    labelling = summary.labelling
    classes = labelling.classes if labelling and labelling.kept.labelled else ()
    shown = classes
    if len(classes) > MOST_CLASSES:
        shown = tuple(sorted(classes, key=lambda one: -one.count.labelled)[:MOST_CLASSES])
    return PseudoSection(
        sentences=tuple(_describe(summary)),
        gains=summary.gains,
        pairs=summary.pairs,
        pairs_sentence=_describe_pairs(summary.pairs),
        classes=shown,
        more_classes=len(classes) - len(shown),
        thresholds=labelling.thresholds if labelling else (),
        asked_confidence=labelling.confidence if labelling else None,
        truth_is_known=bool(labelling and labelling.asked.known),
        table=summary.table,
    )


def _describe(summary: PseudoLabelSummary) -> list[str]:
    sentences = [f"{summary.reason[:1].upper()}{summary.reason[1:]}."]
    if summary.labelling:
        sentences += [_describe_left_out(summary.labelling), _describe_accuracy(summary.labelling)]
    for gain in summary.gains[-1:]:
        sentences.append(f"The second stage {_describe_change(gain.test)}.")
    return [one for one in sentences if one]


def _describe_left_out(found: Labelling) -> str:
    reasons = (
        (found.held_out, "among the validation or the test images"),
        (found.trained, "among the training images"),
        (found.twice, "equal to another one"),
    )
    listed = ", ".join(f"{count:,} {why}" for count, why in reasons if count)
    if not listed:
        return "None of them is among the validation, the test or the training images."
    return f"Of {found.found:,} images {found.left_out:,} were not asked about: {listed}."


def _describe_accuracy(found: Labelling) -> str:
    """The accuracy of the labels, if the true classes are known after all."""
    kept, asked = found.kept, found.asked
    if kept.accuracy is None or asked.accuracy is None:
        return "" if asked.known else "Nobody knows the true classes, so how many labels are right is not known."
    return (
        f"The true classes of {kept.known:,} labelled images are known, and took no part in training: "
        f"{kept.right:,} labels are right ({kept.accuracy:.2%}); "
        f"had the vote labelled all {asked.known:,}, {asked.accuracy:.2%} would be."
    )


def _describe_change(change: Change) -> str:
    points, (low, high) = 100 * change.difference, (100 * end for end in change.ci95)
    interval = f"95 % interval {low:+.2f} to {high:+.2f}"
    if low > 0:
        return f"makes the team better: {points:+.2f} points on test ({interval})"
    if high < 0:
        return f"makes the team worse: {points:+.2f} points on test ({interval})"
    return f"changes the team by {points:+.2f} points on test ({interval}), which these images cannot tell from nothing"


def _describe_pairs(pairs: Sequence[TrialPair]) -> str:
    found = [pair.difference for pair in pairs if pair.difference is not None]
    if not found:
        return ""
    better = sum(difference > 0 for difference in found)
    return (
        f"Better on validation in {better} of {len(found)}, by {100 * fmean(found):+.2f} points on average. "
        "The second training is never ended early, so it may have more epochs than the first."
    )
