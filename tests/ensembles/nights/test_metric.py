"""Nights of a sweep that asks for another metric than accuracy are compared by it, as far as answers have a value in it."""

from __future__ import annotations

import pytest

from ensembles.nights.compare import compare_nights
from ensembles.nights.evaluate import decide_verdict
from ensembles.nights.team_answers import TeamAnswers

TRUTH = ["cat"] * 900 + ["fox"] * 100


def answers(right_cats: int, right_foxes: int) -> TeamAnswers:
    said = ["cat"] * right_cats + ["fox"] * (900 - right_cats) + ["fox"] * right_foxes + ["cat"] * (100 - right_foxes)
    names = tuple(f"{number:04}" for number in range(1000))
    return TeamAnswers("d", names, tuple(name.zfill(64) for name in names), tuple(TRUTH), tuple(said))


def test_a_night_that_finds_the_rare_class_is_better_by_balanced_accuracy_and_worse_by_accuracy() -> None:
    now, before = answers(780, 80), answers(899, 15)
    by_accuracy, balanced = compare_nights(now, before), compare_nights(now, before, "balanced_accuracy")
    assert by_accuracy is not None
    assert balanced is not None
    assert (by_accuracy.change.direction, balanced.change.direction) == ("worse", "better")
    assert (balanced.change.after, balanced.change.before) == pytest.approx(
        ((780 / 900 + 0.8) / 2, (899 / 900 + 0.15) / 2)
    )
    verdict, sentence = decide_verdict(0.9, 1000, "t/1", balanced, ())
    assert verdict == "accepted"
    assert sentence.startswith("accepted: better than t/1 by +25.89 points of balanced accuracy (95 % interval +")
    assert balanced.gained_ids == by_accuracy.gained_ids


def test_answers_have_no_log_loss_so_nights_are_compared_by_accuracy_then() -> None:
    found = compare_nights(answers(780, 80), answers(899, 15), "log_loss")
    assert found == compare_nights(answers(780, 80), answers(899, 15))


def test_a_first_night_says_what_it_reached_by_the_metric() -> None:
    assert decide_verdict(0.9, 1000, None, None, (), "macro F1 0.8123")[1] == (
        "accepted: macro F1 0.8123 on 1,000 test images; no night was accepted before it"
    )
