"""Confident learning, by hand."""

from __future__ import annotations

import numpy as np

from ensembles.evaluation.suspected_labels import suspect_labels


def two_classes(of_class_1: list[float]) -> np.ndarray:
    return np.stack([1 - np.array(of_class_1), np.array(of_class_1)], 1)


def test_a_label_is_suspected_where_another_class_is_as_likely_as_it_is_on_its_own_images() -> None:
    # Class 0 has on its images (.9 + .8 + .05) / 3 = .583, class 1 (.9 + .8 + .45) / 3 = .717. The third image is of class 1 with .95;
    # the last is of class 0 with .55 only: wrong, and not suspected.
    rows, suggested = suspect_labels(two_classes([0.1, 0.2, 0.95, 0.9, 0.8, 0.45]), np.array([0, 0, 0, 1, 1, 1]))
    assert (rows.tolist(), suggested.tolist()) == ([2], [1])


def test_the_likeliest_errors_come_first() -> None:
    probabilities = two_classes([0.1, 0.8, 0.9, 0.95, 0.95, 0.02])
    labels = np.array([0, 0, 0, 1, 1, 1])
    # Means: class 0 has .4 on its images, class 1 .64; margins -.6, -.8, and -.96 for the last, which is of class 0.
    rows, suggested = suspect_labels(probabilities, labels)
    assert (rows.tolist(), suggested.tolist()) == ([5, 2, 1], [0, 1, 1])


def test_rows_that_are_no_numbers_and_classes_without_images_are_never_suspected() -> None:
    probabilities = np.array([[0.6, 0.1, 0.3], [np.nan, np.nan, np.nan], [0.1, 0.2, 0.7], [0.2, 0.7, 0.1]])
    rows, _ = suspect_labels(probabilities, np.array([0, 0, 0, 1]))
    assert rows.tolist() == []
