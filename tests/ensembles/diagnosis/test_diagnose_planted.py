"""Real trainings with a planted fault are named rightly nine times in ten, healthy ones are left alone as often.

Thresholds were chosen on draw 0; draw 1, with other settings and seeds, was trained only after that.
"""

from __future__ import annotations

import pytest

from ensembles.diagnosis.diagnose import diagnose, diagnose_all
from tests.ensembles.diagnosis.planted_faults import Planted, healthy, planted, sated, starved, train, train_shares

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("one_thread")]


def missed(trainings: list[Planted]) -> list[str]:
    wrong = []
    for one in trainings:
        verdict = diagnose(*train(one)).verdict
        if verdict not in (one.expected or (one.verdict,)):
            wrong.append(f"{one.verdict} ({one.name}) was called {verdict}")
    return wrong


DRAWS = [0, pytest.param(1, marks=pytest.mark.extended)]


@pytest.mark.parametrize("draw", DRAWS)
def test_planted_faults_are_named(draw):
    trainings = list(planted(draw))
    wrong = missed(trainings)
    assert len(trainings) == 40
    assert len(wrong) <= 4, wrong


@pytest.mark.parametrize("draw", DRAWS)
def test_healthy_trainings_are_left_alone(draw):
    trainings = list(healthy(draw))
    wrong = missed(trainings)
    assert len(trainings) == 40
    assert len(wrong) <= 4, wrong


@pytest.mark.parametrize("draw", DRAWS)
def test_too_few_images_are_detected_by_the_learning_curve_and_enough_are_left_alone(draw):
    given = [*starved(draw), *sated(draw)]
    named = [diagnose_all(*train_shares(one))[-1].verdict for one in given]
    wrong = [
        f"{one.name} was called {verdict}" for one, verdict in zip(given, named, strict=True) if verdict != one.verdict
    ]
    assert len(given) == 10
    assert len(wrong) <= 1, wrong
