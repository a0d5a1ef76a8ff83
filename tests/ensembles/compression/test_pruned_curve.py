"""Accuracy against sparsity: which point is chosen, what test says of it, and the record of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from ensembles.compression.pruned_curve import (
    PrunedCurve,
    PrunedPoint,
    choose,
    evaluate_on_test,
    from_json,
    place_point,
    to_json,
)
from trainables.errors import DamagedObject

MEASURED: dict[str, Any] = {
    "before_accuracy": 0.5,
    "accuracy": 0.9,
    "loss": 0.3,
    "weights": 1000,
    "nonzero": 300,
    "size_bytes": 4400,
    "compressed_bytes": 1500,
    "flops": 20_000,
    "nonzero_flops": 6000,
}


def make_point(sparsity: float, gained: int = 0, lost: int = 0, p: float = 1.0, **keys: Any) -> PrunedPoint:
    figures = MEASURED | {"nonzero": round(1000 * (1 - sparsity))} | keys
    return PrunedPoint(f"0f3a@12-magnitude-{sparsity!r}-5", sparsity, gained=gained, lost=lost, p=p, **figures)


def make_curve(**keys: Any) -> PrunedCurve:
    """Half of the weights can go, nine tenths cannot."""
    fields: dict[str, Any] = {
        "run": "digits/1a2b",
        "trial_id": "0f3a00000000",
        "epoch": 12,
        "method": "magnitude",
        "epochs": 5,
        "rate": 0.005,
        "validation_images": 1200,
        "unpruned": make_point(0.0, accuracy=0.95, compressed_bytes=3000, nonzero_flops=20_000),
        "points": (make_point(0.0, accuracy=0.96), make_point(0.5, 3, 5, 0.73), make_point(0.9, 1, 30, 1e-7)),
        "failed": (),
        "test": evaluate_on_test(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]), np.array([0, 1, 0, 1])),
    }
    return PrunedCurve(**fields | keys)


def test_a_point_counts_the_images_that_changed() -> None:
    labels = np.array([0, 1, 2, 0, 1, 2])
    before, after = np.array([0, 1, 2, 0, 0, 0]), np.array([1, 2, 0, 0, 1, 0])
    point = place_point("one", 0.5, MEASURED, after, before, labels)
    assert (point.gained, point.lost) == (1, 3)
    assert point.p == pytest.approx(2 * (1 + 4) / 16)  # of four coins at most one head
    assert point.name == "one"
    assert point.accuracy == 0.9


@pytest.mark.parametrize(
    ("gained", "lost", "p", "within"),
    [
        (0, 0, 1.0, True),
        (3, 5, 0.73, True),
        (0, 6, 0.031, False),
        (0, 5, 0.0625, True),
        (20, 2, 0.0001, True),
        (0, 9, 0.05, True),
    ],
)
def test_a_loss_is_noise_where_the_test_cannot_tell_it_from_none_and_a_gain_is_no_loss(
    gained: int, lost: int, p: float, within: bool
) -> None:
    assert make_point(0.5, gained, lost, p).within_noise is within


@pytest.mark.parametrize(
    ("points", "chosen"),
    [
        ([], None),
        ([(0.0, True)], None),
        ([(0.5, True), (0.7, True), (0.9, False)], 0.7),
        ([(0.9, True), (0.5, True)], 0.9),
        ([(0.5, False), (0.7, True), (0.9, False)], 0.7),
        ([(0.0, True), (0.5, False)], None),
    ],
)
def test_the_highest_sparsity_within_noise_is_chosen(points: list[tuple[float, bool]], chosen: float | None) -> None:
    found = choose([make_point(sparsity, 0, 9, 1.0 if within else 0.001) for sparsity, within in points])
    assert (found.sparsity if found else None) == chosen


def test_test_compares_both_on_the_same_images() -> None:
    test = make_curve().test
    assert test is not None
    assert (test.images, test.unpruned, test.pruned, test.difference) == (4, 0.5, 0.75, 0.25)
    assert test.p == 1
    assert test.unpruned_ci95[0] < 0.5 < test.unpruned_ci95[1]
    assert test.difference_ci95[0] == 0


def test_the_sentences_say_what_can_go_and_what_it_costs() -> None:
    first, second, third, fourth = make_curve().sentences
    assert first == (
        "Without 50 % of the weights, the highest sparsity tried whose loss is no more than the noise of 1,200 validation "
        "images, it is right on 90.00% of them against 95.00% (McNemar p 0.73)."
    )
    assert second == (
        "500 of 1,000 weights are left; the compressed file shrinks by a factor of 2.0, the arithmetic of a prediction by 1.0, "
        "or by 3.3 where zeros are left out."
    )
    assert (
        third
        == "Trained on as long without sparsifying, the checkpoint comes to 96.00%, 6.00 points more than the sparsified one."
    )
    assert fourth.startswith("On test it is right on 75.00% of 4 test images against 50.00%: +25.00 points")
    assert "of each layer's channels" in make_curve(method="channel").sentences[0]


def test_a_loss_that_only_test_shows_is_called_one() -> None:
    labels = np.zeros(400, np.int64)
    worse = np.where(np.arange(400) < 40, 1, 0)
    sentence = make_curve(test=evaluate_on_test(worse, labels, labels)).sentences[-1]
    assert sentence.startswith(
        "Test shows the loss that validation was too small to show: it is right on 90.00% of 400"
    )
    assert "-10.00 points" in sentence


def test_where_nothing_can_go_it_says_so_and_test_is_silent() -> None:
    sentences = make_curve(points=(make_point(0.0), make_point(0.5, 0, 30, 1e-9)), test=None).sentences
    assert len(sentences) == 2
    assert sentences[0].startswith("No sparsity that was tried")
    assert sentences[1] == "Trained on as long without sparsifying, the checkpoint comes to 90.00%."


def test_a_curve_comes_back_from_its_record() -> None:
    for curve in (make_curve(), make_curve(test=None, points=(), failed=((0.95, "the training loss is nan"),))):
        payload = json.loads(json.dumps(to_json(curve)))
        assert from_json(payload) == curve
    assert payload["chosen"] is None
    payload = to_json(make_curve())
    assert payload["chosen"] == "0f3a@12-magnitude-0.5-5"
    assert [point["within_noise"] for point in payload["points"]] == [True, True, False]


@pytest.mark.parametrize(
    "harm", [{"points": [{}]}, {"points": 3}, {"unpruned": None}, {"test": {"images": 1}}, {"more": 1}]
)
def test_a_record_that_is_none_is_refused(harm: dict[str, Any]) -> None:
    with pytest.raises(DamagedObject, match="delete it and run `caucus sparsify` again"):
        from_json(json.loads(json.dumps(to_json(make_curve()))) | harm)


def test_images_of_one_group_are_one_piece_of_evidence():
    labels, before, after = np.zeros(12, np.int64), np.zeros(12, np.int64), np.ones(12, np.int64)
    groups = np.repeat([0, 1], 6)
    assert not place_point("one", 0.5, MEASURED, after, before, labels).within_noise
    assert place_point("one", 0.5, MEASURED, after, before, labels, groups).p == 0.5
    alone, grouped = evaluate_on_test(after, before, labels), evaluate_on_test(after, before, labels, groups)
    assert grouped.p == 0.5
    assert grouped.unpruned_ci95[0] < alone.unpruned_ci95[0]
