import numpy as np
import pytest

from ensembles.config import EnsembleConfig
from ensembles.evaluation.gather import gather_evidence
from ensembles.evaluation.verdict import prepare
from tests.ensembles.samples import make_pool, make_team, member

# Three classes. Validation: member 0 right on all three, member 1 on the first two.
VALIDATION = make_pool(
    [
        [[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.2, 0.3, 0.5]],
        [[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.4, 0.4, 0.2]],
    ],
    [0, 1, 2],
)
# Test, true classes 0 1 2 0: member 0 says 0 1 1 1, member 1 says 0 0 2 2, their mean 0 0 2 1.
TEST = make_pool(
    [
        [[0.9, 0.05, 0.05], [0.3, 0.4, 0.3], [0.3, 0.4, 0.3], [0.1, 0.8, 0.1]],
        [[0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.0, 0.1, 0.9], [0.2, 0.3, 0.5]],
    ],
    [0, 1, 2, 0],
    "test",
)


@pytest.fixture(scope="module")
def evidence():
    team, config = make_team(0.5, 0.5), EnsembleConfig(calibrate="none", size=1)
    prepared = prepare(team, config, VALIDATION, [member(0), member(1)], VALIDATION.probabilities.mean(0))
    return gather_evidence(prepared, VALIDATION, TEST, ["a", "b", "c", "d"])


def test_solo_scores_and_what_leaving_each_out_costs_on_validation(evidence):
    assert evidence.solo.tolist() == pytest.approx([1, 2 / 3])
    # Together .7 .15 .15 | .15 .7 .15 | .3 .35 .35: of equals the lower class, so the third is wrong.
    assert evidence.left_out_cost.tolist() == pytest.approx([0, -1 / 3])


def test_disagreement_and_correlated_errors_on_test(evidence):
    assert evidence.disagreement.tolist() == [[0, 0.75], [0.75, 0]]
    # Wrong: 0 0 1 1 -> (member 0 is wrong on 2 and 3), 0 1 0 1 -> member 1 on 1 and 3: no correlation.
    assert evidence.error_correlation.tolist() == [[1, pytest.approx(0)], [pytest.approx(0), 1]]
    assert evidence.any_correct == 0.75


def test_classes_gain_and_lose(evidence):
    counts = [
        (each.name, each.images, each.best_right, each.team_right, each.fixed, each.broken) for each in evidence.classes
    ]
    assert counts == [("class 0", 2, 1, 1, 0, 0), ("class 1", 1, 1, 0, 0, 1), ("class 2", 1, 0, 1, 1, 0)]
    # Image b went from 1 to 0, image c from 1 to 2; rows are true classes.
    assert evidence.confusion_change.tolist() == [[0, 0, 0], [1, -1, 0], [0, -1, 1]]


def test_sources_are_scored_where_images_have_them(evidence):
    assert evidence.sources == ()
    team, config = make_team(0.5, 0.5), EnsembleConfig(calibrate="none", size=1)
    prepared = prepare(team, config, VALIDATION, [member(0), member(1)], VALIDATION.probabilities.mean(0))
    found = gather_evidence(prepared, VALIDATION, TEST, ["a", "b", "c", "d"], ["x", "x", "y", "y"])
    # The vote says 0 0 2 1 and the best single 0 1 1 1, where 0 1 2 0 is true.
    assert [(one.source, one.team, one.best) for one in found.sources] == [("x", 0.5, 1.0), ("y", 0.5, 0.0)]


def test_images_that_were_fixed_broken_and_missed(evidence):
    (fixed,), (broken,), (missed,) = evidence.fixed, evidence.broken, evidence.missed
    assert (fixed.image_id, fixed.label, fixed.team, fixed.best, fixed.members_right) == (
        "c",
        "class 2",
        "class 2",
        "class 1",
        1,
    )
    assert fixed.confidence == pytest.approx(0.6)
    assert (broken.image_id, broken.team, broken.best, broken.members_right) == ("b", "class 0", "class 1", 1)
    assert (missed.image_id, missed.label, missed.team, missed.members_right) == ("d", "class 0", "class 1", 0)


def test_confidence_is_set_against_accuracy(evidence):
    # The vote: .75 right, .6 wrong, .6 right, .55 wrong. With .6 in (.533, .6] or above, by the rounding of a float32.
    filled = [each for each in evidence.reliability_before if each.images]
    assert sum(each.images for each in filled) == 4
    assert filled[-1].accuracy == 1
    assert filled[-1].confidence == pytest.approx(0.75)
    assert evidence.reliability_after == evidence.reliability_before  # nothing was calibrated
    assert evidence.risk_coverage[0] == (0.25, 0)
    assert evidence.risk_coverage[-1] == (1, 0.5)


def test_the_most_confident_comes_first():
    labels = np.zeros(5, int)
    of_class_1 = np.array([0.55, 0.9, 0.7, 0.2, 0.8])  # given to class 1, which is wrong
    test = make_pool([np.stack([1 - of_class_1, of_class_1], 1)], labels, "test")
    validation = make_pool([np.stack([1 - of_class_1, of_class_1], 1)], labels)
    prepared = prepare(
        make_team(1.0), EnsembleConfig(calibrate="none"), validation, [member(0)], validation.probabilities[0]
    )
    found = gather_evidence(prepared, validation, test, list("abcde"))
    assert [case.image_id for case in found.missed] == ["b", "e", "c", "a"]
    assert found.left_out_cost.tolist() == [0]  # without it there is no team
    assert found.error_correlation.tolist() == [[1]]
    assert found.fixed == found.broken == ()


def test_a_member_that_is_never_wrong_correlates_as_one():
    sure = [[0.9, 0.1], [0.9, 0.1]]
    test = make_pool([sure, [[0.9, 0.1], [0.1, 0.9]]], [0, 0], "test")
    validation = make_pool([sure, sure], [0, 0])
    prepared = prepare(
        make_team(0.5, 0.5), EnsembleConfig(calibrate="none"), validation, [member(0)], validation.probabilities[0]
    )
    assert gather_evidence(prepared, validation, test, ["a", "b"]).error_correlation.tolist() == [[1, 1], [1, 1]]


def suspects_of(of_class_1, labels):
    """On validation with `of_class_1`, and two test images: the first is of class 1, and the team has it in class 0."""
    validation = make_pool([np.stack([1 - np.array(of_class_1), np.array(of_class_1)], 1)], labels)
    test = make_pool([[[0.95, 0.05], [0.9, 0.1]]], [1, 0], "test")
    config = EnsembleConfig(calibrate="none")
    prepared = prepare(make_team(1.0), config, validation, [member(0)], validation.probabilities[0].astype(np.float64))
    ids = list("abcdefghijkl"[: len(labels)])
    return gather_evidence(prepared, validation, test, ["x", "y"], validation_ids=ids).suspects


def test_labels_are_suspected_on_validation_and_test_together():
    of_class_1 = [0.1, 0.2, 0.95, 0.1, 0.1, 0.1, 0.9, 0.8, 0.9, 0.9, 0.9, 0.9]
    found = suspects_of(of_class_1, np.repeat([0, 1], 6))
    assert [(one.image_id, one.split, one.label, one.suggested) for one in found] == [
        ("c", "validation", "class 0", "class 1"),
        ("x", "test", "class 1", "class 0"),
    ]
    assert found[0].probability == pytest.approx(0.95)
    assert found[0].probability_of_label == pytest.approx(0.05)


def test_a_team_that_is_wrong_often_suspects_no_label():
    assert suspects_of([0.1, 0.9, 0.95, 0.1, 0.1, 0.9], np.repeat([0, 1], 3)) == ()
