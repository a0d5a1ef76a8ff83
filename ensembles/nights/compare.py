"""Two nights on the test images that both have: which is right more often, and on which images their answers flipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ensembles.evaluation.comparison import Change, measure_change
from ensembles.evaluation.metric_gain import measure_ballot, measure_metric_gain
from ensembles.metrics.intervals import Groups, mcnemar_p
from ensembles.nights.team_answers import TeamAnswers
from ensembles.voting.vote import Ballot
from trainables.metric import Metric
from trainables.splits.split import number_groups

OF_ANSWERS: tuple[Metric, ...] = ("balanced_accuracy", "macro_f1")
"""Metrics beside accuracy of which the predicted classes are enough."""

MOST_IDS = 100
"""Flipped images that are named; of more, the first in the order of the data."""


@dataclass(frozen=True)
class NightComparison:
    """A night beside an earlier one. `after` in `change` is this night."""

    images: int
    """Test images that both have: the comparison is on these alone."""
    images_before: int
    """Test images of the earlier night."""
    images_now: int
    matched_by: Literal["content", "image_id"]
    """How images of both nights were matched."""
    relabelled: int
    """Those of `images` that had another label then. Both nights are scored by today's labels."""
    change: Change
    gained: int
    """Images on which the earlier night was wrong and this one is right."""
    lost: int
    """Images on which the earlier night was right and this one is wrong."""
    gained_ids: tuple[str, ...]
    lost_ids: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether both nights were scored on the same images, with none left out."""
        return self.images == self.images_before == self.images_now


def compare_nights(now: TeamAnswers, before: TeamAnswers, metric: Metric = "accuracy") -> NightComparison | None:
    """Both nights on the images that both have; None if there are none, or if they cannot be matched.

    They are compared by `metric` if answers alone have a value in it, else by accuracy: the record of a night has no probabilities.

    Images are matched by their pixels: a name such as a row number may belong to another image by now. If no pixels are the
    same, as after a change of `data.size`, images are matched by name, provided that all of these kept their labels.
    """
    matched: Literal["content", "image_id"] = "content"
    pairs = _pair(now.image_sha256, before.image_sha256)
    if not pairs:
        matched, pairs = "image_id", _pair(now.image_ids, before.image_ids)
        if any(now.labels[here] != before.labels[there] for here, there in pairs):
            return None
    if not pairs:
        return None
    right_now = np.array([now.predicted[here] == now.labels[here] for here, _ in pairs])
    right_before = np.array([before.predicted[there] == now.labels[here] for here, there in pairs])
    ids = [now.image_ids[here] for here, _ in pairs]
    groups = None
    if now.groups is not None:  # today's groups, as today's labels
        groups = number_groups([now.groups[here] for here, _ in pairs])
    gained, lost = np.flatnonzero(right_now & ~right_before), np.flatnonzero(right_before & ~right_now)
    return NightComparison(
        images=len(pairs),
        images_before=len(before.image_ids),
        images_now=len(now.image_ids),
        matched_by=matched,
        relabelled=sum(now.labels[here] != before.labels[there] for here, there in pairs),
        change=_measure(now, before, pairs, metric, groups)
        if metric in OF_ANSWERS
        else measure_change(right_now, right_before, groups),
        gained=len(gained),
        lost=len(lost),
        gained_ids=tuple(ids[at] for at in gained[:MOST_IDS]),
        lost_ids=tuple(ids[at] for at in lost[:MOST_IDS]),
    )


def _measure(
    now: TeamAnswers, before: TeamAnswers, pairs: Sequence[tuple[int, int]], metric: Metric, groups: Groups
) -> Change:
    """The change by another metric than accuracy, by today's labels; McNemar's p is that of the accuracy."""
    truth = [now.labels[here] for here, _ in pairs]
    answers = [now.predicted[here] for here, _ in pairs], [before.predicted[there] for _, there in pairs]
    place = {name: number for number, name in enumerate(sorted({*truth, *answers[0], *answers[1]}))}
    labels = np.array([place[name] for name in truth])
    after, earlier = (
        Ballot("soft", np.zeros((len(pairs), len(place))), np.array([place[name] for name in said])) for said in answers
    )
    difference, interval = measure_metric_gain(metric, after, earlier, labels, groups)
    return Change(
        before=measure_ballot(metric, earlier, labels),
        after=measure_ballot(metric, after, labels),
        difference=difference,
        ci95=interval,
        mcnemar_p=mcnemar_p(after.predicted == labels, earlier.predicted == labels, groups),
        metric=metric,
    )


def _pair(now: Sequence[str], before: Sequence[str]) -> list[tuple[int, int]]:
    """Positions of the same name on both sides; of duplicates before, the first: equal pixels have equal answers."""
    places: dict[str, int] = {}
    for position, name in enumerate(before):
        places.setdefault(name, position)
    return [(position, places[name]) for position, name in enumerate(now) if name in places]
