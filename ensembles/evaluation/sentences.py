"""The verdict in plain words: what to ship, why, and what it costs; at most three sentences."""

from __future__ import annotations

from ensembles.config import VoteMethod
from ensembles.evaluation.score import Score
from trainables.data.floor import Floor


def beats(score: Score, floor: Floor | None) -> bool:
    """Whether a way to predict is right on more test images than what needs no net."""
    return floor is None or score.test_accuracy > floor.best


def describe_recommendation(
    method: VoteMethod,
    score: Score,
    best: Score,
    interval: tuple[float, float],
    p: float,
    images: int,
    alone: bool,
    floor: Floor | None = None,
) -> tuple[str, str]:
    """What to ship, and why. `interval` is the interval of the gain; `alone`: the team is the best single checkpoint.

    Nothing is shipped that is no better than `floor`.
    """
    ship_single, seen = "Ship the best single checkpoint", f"of {images:,} test images"
    shipped = score if interval[0] > 0 and not alone else best
    if floor is not None and not beats(shipped, floor):
        what = "the best single checkpoint" if shipped is best else f"the {method} vote of {score.members}"
        return (
            "Ship nothing",
            f"{what} is right on {shipped.test_accuracy:.2%} {seen}, {floor.describe()} on {floor.best:.2%}.",
        )
    if alone:
        return ship_single, f"the team is this checkpoint alone, right on {best.test_accuracy:.2%} {seen}."
    subject, team = "Ship the ensemble", f"the {method} vote of {score.members}"
    if score.members == 1:  # greedy found no second member, and by log-loss it may start from another than the best
        subject, team = "Ship the team's checkpoint", "the one checkpoint of the team"
    gain = 100 * (score.test_accuracy - best.test_accuracy)
    low, high = 100 * interval[0], 100 * interval[1]
    evidence = f"95 % interval {low:+.2f} to {high:+.2f}, McNemar p {_show_p(p)}"
    right = f"{team} is right on {score.test_accuracy:.2%} {seen}"
    if low > 0:
        return subject, f"{right}, {gain:.2f} points more than the best single checkpoint ({evidence})."
    if high < 0:
        return ship_single, f"{right}, {-gain:.2f} points less ({evidence})."
    return (
        ship_single,
        f"{right}, a difference of {gain:+.2f} points ({evidence}) that these images cannot tell from none.",
    )


def describe_correction(score: Score) -> str:
    """The validation score, corrected for selection bias; "" if it was not corrected."""
    if score.corrected is None:
        return ""
    low, high = score.corrected.ci95
    return (
        f"On validation it was selected with {score.validation_accuracy:.2%}; on images that its selection did not see that is "
        f"{score.corrected.value:.2%} (95 % interval {low:.2%} to {high:.2%})."
    )


def describe_cost(score: Score, best: Score) -> str:
    """The cost of a prediction relative to the best single checkpoint; "" if it was not measured, or is the same."""
    team, alone = score.cost, best.cost
    if team is None or alone is None or team == alone:
        return ""
    pairs = (
        ("parameters", team.parameters, alone.parameters),
        ("arithmetic", team.flops, alone.flops),
        ("latency", team.latency_s, alone.latency_s),
    )
    ratios = [f"{ours / theirs:.1f} times the {quantity}" for quantity, ours, theirs in pairs if theirs > 0]
    if not ratios:
        return ""
    return f"A prediction takes {', '.join(ratios[:-1])}{' and ' if ratios[1:] else ''}{ratios[-1]} of the best single checkpoint's."


def _show_p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"
