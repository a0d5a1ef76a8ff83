import json

import numpy as np

from ensembles.pseudo_labels.agreement import Agreement
from ensembles.pseudo_labels.labelling import LabelCount, count_labels, read_labelling

# Six images: what the vote says, how sure it is, how many of five members agree, what is true (-1: nobody knows).
LABELS = np.array([0, 0, 1, 1, 1, 2])
CONFIDENCE = np.array([0.99, 0.95, 0.96, 0.90, 0.40, 0.97], np.float32)
AGREEING = np.array([5, 3, 4, 5, 1, 2])
TRUE_CLASSES = np.array([0, 1, 1, 1, 0, -1])
FOUND = Agreement(LABELS, CONFIDENCE, AGREEING, np.array([True, True, True, False, False, False]))
LEFT_OUT = {"found": 10, "held_out": 2, "trained": 1, "twice": 1}


def count():
    return count_labels(FOUND, TRUE_CLASSES, ("a", "b", "c"), 0.95, 3, LEFT_OUT)


def test_images_are_counted_with_those_that_are_right_where_the_true_class_is_known():
    found = count()
    assert found.asked == LabelCount(labelled=6, known=5, right=3)
    assert found.kept == LabelCount(labelled=3, known=3, right=2)
    assert found.kept.accuracy == 2 / 3
    assert found.left_out == 4


def test_classes_are_counted_by_what_they_were_labelled_as():
    first, second, third = count().classes
    assert (first.name, first.count, first.confidence) == ("a", LabelCount(2, 2, 1), 0.97)
    assert (second.count, second.confidence) == (LabelCount(1, 1, 1), 0.96)
    assert (third.count, third.confidence) == (LabelCount(0, 0, 0), None)
    assert third.count.accuracy is None


def test_other_confidences_keep_the_agreement():
    found = dict(count().thresholds)
    assert found[0.5] == LabelCount(4, 4, 3)
    assert found[0.9] == LabelCount(4, 4, 3)
    assert found[0.95] == LabelCount(3, 3, 2)
    assert found[0.99] == LabelCount(1, 1, 1)


def test_the_confidence_that_was_asked_for_is_among_them():
    found = count_labels(FOUND, TRUE_CLASSES, ("a", "b", "c"), 0.93, 3, LEFT_OUT)
    assert [step for step, _ in found.thresholds] == [0.5, 0.7, 0.8, 0.9, 0.93, 0.95, 0.98, 0.99]


def test_the_figures_survive_the_journal():
    assert read_labelling(json.loads(json.dumps(count().to_dict()))) == count()
