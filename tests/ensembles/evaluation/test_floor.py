"""Nothing is shipped that needs a net and is no better than what needs none."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles.config import EnsembleConfig
from ensembles.evaluation.verdict import Verdict, evaluate_prepared, from_json, prepare, to_json
from tests.ensembles.samples import make_pool, make_team, member
from trainables.data.floor import Floor

CERTAIN = np.tile([0.9, 0.1], (1000, 1))
WRONG = np.tile([0.1, 0.9], (1000, 1))


def judge(right_of_team: int, right_of_best: int, nearest: float) -> Verdict:
    """A team of member 1 beside the best single, member 0, on a thousand test images of class 0."""
    tables = [np.concatenate([CERTAIN[:right], WRONG[right:]]) for right in (right_of_best, right_of_team)]
    test = make_pool(np.stack(tables), [0] * 1000, "test")
    validation = make_pool(np.stack(tables), [0] * 1000, "validation")
    team = make_team(0.01, 0.99)
    ready = prepare(
        team,
        EnsembleConfig(vote="weighted"),
        validation,
        [member(0), member(1)],
        CERTAIN,
        floor=Floor(0.5, 0.4, "cat", nearest),
    )
    return evaluate_prepared(ready, test, CERTAIN)


@pytest.mark.parametrize(
    ("nearest", "ship", "headline"),
    [(0.90, True, "Ship the ensemble"), (0.95, False, "Ship nothing"), (0.99, False, "Ship nothing")],
)
def test_a_team_that_gains_is_shipped_above_the_floor_alone(nearest: float, ship: bool, headline: str) -> None:
    verdict = judge(950, 900, nearest)
    assert verdict.gain_ci95[0] > 0
    assert (verdict.ship, verdict.headline) == (ship, headline)


def test_the_best_single_is_measured_by_the_floor_where_the_team_gains_nothing() -> None:
    assert judge(900, 900, 0.8).headline == "Ship the best single checkpoint"
    below = judge(900, 900, 0.93)
    assert below.sentence == (
        "Ship nothing: the best single checkpoint is right on 90.00% of 1,000 test images, the nearest neighbour on 12 x 12 "
        "pixels on 93.00%."
    )


def test_the_floor_is_on_record_with_the_verdict() -> None:
    verdict = judge(950, 900, 0.9)
    team = make_team(0.01, 0.99)
    assert from_json(to_json(verdict, team)) == (verdict, team)
