"""The verdict on a night, as a word and a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from ensembles.evaluation.comparison import Change
from ensembles.nights.compare import NightComparison
from ensembles.nights.summary import Cause, NightVerdict
from trainables.metric import describe_unit, name_metric, show_loss

VERDICTS: dict[str, NightVerdict] = {"better": "accepted", "alike": "no worse", "worse": "worse"}


def decide_verdict(
    test_accuracy: float,
    test_images: int,
    against: str | None,
    comparison: NightComparison | None,
    causes: Sequence[Cause],
    reached: str = "",
) -> tuple[NightVerdict, str]:
    """The verdict and its reason. `against` is the last accepted night, None if there is none; `comparison` is None if the two
    have no test image in common: a night that cannot be compared is accepted, and the sentence says so. `reached` is the score by
    the metric that the sweep asks for, `macro F1 0.8123`; "" where that is accuracy."""
    worth = f"{reached} on" if reached else f"right on {test_accuracy:.2%} of"
    worth += f" {test_images:,} test images"
    if against is None:
        return "accepted", f"accepted: {worth}; no night was accepted before it"
    if comparison is None:
        return "accepted", f"accepted: {worth}; none of them was a test image of {against}, so nothing compares the two"
    change = comparison.change
    described = f"{describe_change(change)}, on {_images(comparison)}"
    match verdict := VERDICTS[change.direction]:
        case "accepted":
            return verdict, f"accepted: better than {against} by {described}"
        case "worse":
            return (
                verdict,
                f"worse than {against} by {described}. {describe_causes(causes)}; {against} stays the accepted night",
            )
    if comparison.gained == comparison.lost == 0:
        return verdict, f"no worse than {against}, and no better: each of {_images(comparison)} has the same outcome"
    return (
        verdict,
        f"no worse than {against}, and not better beyond doubt: {described}; {against} stays the accepted night",
    )


def describe_change(change: Change) -> str:
    """A difference in points with its interval and p-value."""
    if metric := change.metric:
        size, *ends = (show_loss(metric, value) for value in (change.difference, *change.ci95))
        unit = f" {describe_unit(metric)}" if describe_unit(metric) else ""
        return f"{size}{unit} of {name_metric(metric)} (95 % interval {ends[0]} to {ends[1]})"
    points, (low, high) = 100 * change.difference, (100 * end for end in change.ci95)
    return f"{points:+.2f} points (95 % interval {low:+.2f} to {high:+.2f}, McNemar p {change.mcnemar_p:.2g})"


def describe_causes(causes: Sequence[Cause]) -> str:
    """The likeliest cause and the other changes, without a full stop."""
    if not causes:
        return "Nothing that is on record changed: likely what training scatters by"
    first, *others = causes
    also = f"; also changed: {'; '.join(other.description for other in others)}" if others else ""
    return f"Likely cause: {first.description}{also}"


def _images(comparison: NightComparison) -> str:
    if comparison.is_whole:
        return f"the same {comparison.images:,} test images"
    return (
        f"the {comparison.images:,} test images that both have (of {comparison.images_now:,} now and "
        f"{comparison.images_before:,} then)"
    )
