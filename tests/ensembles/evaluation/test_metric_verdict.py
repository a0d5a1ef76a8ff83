"""With unequal classes the verdict is told, and decided, by the metric that the sweep asks for."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles.config import EnsembleConfig
from ensembles.evaluation.metric_gain import measure_ballot, measure_metric_gain
from ensembles.evaluation.verdict import Verdict, evaluate_prepared, from_json, prepare, to_json
from ensembles.metrics.scores import measure
from ensembles.voting.vote import Ballot
from tests.ensembles.samples import make_pool, make_team, member
from trainables.data.floor import MetricFloor
from trainables.metric import Metric

LABELS = np.array([0] * 900 + [1] * 100)


def table(right_of_large: int, right_of_small: int, sure: float = 0.9) -> np.ndarray:
    """Predictions for 900 images of class 0 and 100 of class 1, of which so many are right."""
    said = LABELS.copy()
    said[right_of_large:900] = 1
    said[900 + right_of_small :] = 0
    found = np.full((1000, 2), 1 - sure)
    found[np.arange(1000), said] = sure
    return found


def judge(team: np.ndarray, best: np.ndarray, metric: Metric, floor: float | None = None) -> Verdict:
    tables = np.stack([best, team])
    pools = [make_pool(tables, LABELS, split) for split in ("validation", "test")]
    chosen = make_team(0.01, 0.99)
    config = EnsembleConfig(vote="weighted", metric=metric, calibrate="none", metric_is_said=metric == "log_loss")
    ready = prepare(
        chosen,
        config,
        pools[0],
        [member(0), member(1)],
        best,
        metric_floor=None if floor is None else MetricFloor(floor, "guessing"),
    )
    verdict = evaluate_prepared(ready, pools[1], best)
    assert from_json(to_json(verdict, chosen)) == (verdict, chosen)
    return verdict


BALANCED = table(870, 80), table(900, 20)
"""A team that is right on 95.0 % and, balanced, on 88.3 %, beside a best single with 92 and 60 %."""
EVEN = table(820, 80), table(899, 15)
"""A team that is right on 90.0 % and, balanced, on 85.6 %, beside a best single with 91.4 and 57.4 %."""


def test_a_team_that_is_worse_by_accuracy_and_better_by_the_metric_is_shipped() -> None:
    verdict = judge(*EVEN, "balanced_accuracy", 0.5)
    assert verdict.gain < 0
    assert verdict.ship
    assert verdict.in_metric is not None
    assert (verdict.in_metric.team, verdict.in_metric.best) == pytest.approx(
        ((820 / 900 + 0.8) / 2, (899 / 900 + 0.15) / 2)
    )
    assert verdict.sentence.startswith(
        "Ship the ensemble: the weighted vote of 2 has a balanced accuracy of 85.56% on 1,000 test images, better by 28.11 points "
        "than the best single checkpoint (95 % interval of the gain +"
    )
    assert verdict.best.test_score == verdict.in_metric.best
    assert not judge(*EVEN, "accuracy").ship
    assert judge(*EVEN, "accuracy").in_metric is None


def test_nothing_is_shipped_below_the_floor_of_the_metric() -> None:
    verdict = judge(*EVEN, "balanced_accuracy", 0.9)
    assert (verdict.ship, verdict.headline) == (False, "Ship nothing")
    assert verdict.sentence.endswith("has a balanced accuracy of 85.56% on 1,000 test images, guessing 90.00%.")


def test_of_the_log_loss_low_is_good() -> None:
    unsure, sure = table(880, 80, 0.6), table(880, 80, 0.9)
    better = judge(sure, unsure, "log_loss", 0.69)
    assert better.in_metric is not None
    assert better.in_metric.gain > 0
    assert better.ship
    assert "a log-loss of 0.1" in better.sentence
    worse = judge(unsure, sure, "log_loss")
    assert (worse.ship, worse.headline) == (False, "Ship the best single checkpoint")
    assert ", worse by 0." in worse.sentence
    assert judge(sure, unsure, "log_loss", 0.1).headline == "Ship nothing"
    # Where log-loss is not asked for but left out, accuracy decides.
    config = EnsembleConfig()
    assert (config.metric, config.deciding_metric) == ("log_loss", "accuracy")


@pytest.mark.parametrize("metric", ["log_loss", "balanced_accuracy", "macro_f1", "auc", "brier"])
def test_a_gain_is_the_difference_of_the_scores_and_inside_its_interval(metric: Metric) -> None:
    ours, theirs = (Ballot("soft", found, found.argmax(1)) for found in BALANCED)
    gain, (low, high) = measure_metric_gain(metric, ours, theirs, LABELS)
    difference = measure(metric, BALANCED[0], LABELS) - measure(metric, BALANCED[1], LABELS)
    assert gain == pytest.approx(-difference if metric in ("log_loss", "brier") else difference)
    assert low < gain < high
    assert measure_metric_gain(metric, ours, ours, LABELS) == (0, (0, 0))


def test_images_of_one_group_are_drawn_together() -> None:
    ours, theirs = (Ballot("soft", found, found.argmax(1)) for found in BALANCED)
    alone = measure_metric_gain("brier", ours, theirs, LABELS)[1]
    whole = measure_metric_gain("brier", ours, theirs, LABELS, np.arange(1000) // 50)[1]
    assert whole[1] - whole[0] > 2 * (alone[1] - alone[0])


def test_a_vote_is_measured_by_what_it_predicts_also_where_that_is_not_the_likeliest() -> None:
    ballot = Ballot("hard", np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([1, 1]))
    assert measure_ballot("balanced_accuracy", ballot, np.array([1, 1])) == 1.0
    assert measure_ballot("macro_f1", ballot, np.array([1, 1])) == 1.0
    assert measure_ballot("accuracy", ballot, np.array([1, 0])) == 0.5
