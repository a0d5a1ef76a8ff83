"""The summary of a soup: figures by hand, and back from JSON."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensembles.compression.soup_summary import SoupSummary, compare, from_json, read_soups, score, to_json
from trainables.errors import DamagedObject
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import to_json as json_bytes

LABELS = np.array([0, 0, 1, 1])


def predictions(*first: float) -> Any:
    """Probabilities of two classes from those of the first."""
    shares = np.array(first)
    return np.stack([shares, 1 - shares], 1)


def make_summary(**keys: Any) -> SoupSummary:
    made = score("0f3a@3", predictions(0.9, 0.8, 0.6, 0.1), LABELS, predictions(0.5, 0.5, 0.5, 0.5), LABELS)
    given: dict[str, Any] = {
        "run": "digits/1a2b",
        "trial_id": "0f3a",
        "kind": "greedy",
        "metric": "accuracy",
        "candidates": ("0f3a@3", "0f3a@2", "0f3a@1"),
        "ingredients": ("0f3a@3", "0f3a@1"),
        "test_images": 400,
        "best": made,
        "soup": replace(made, test_accuracy=0.75),
        "vote": replace(made, test_accuracy=0.775),
        "gained": 100,
        "lost": 0,
        "p": 0.001,
    }
    return SoupSummary(**given | keys)


def test_a_score_by_hand() -> None:
    found = score("one", predictions(0.9, 0.8, 0.6, 0.1), LABELS, predictions(0.5, 0.25, 0.5, 0.5), LABELS)
    assert found.validation_accuracy == 0.75
    assert found.validation_loss == pytest.approx(-(log(0.9) + log(0.8) + log(0.4) + log(0.9)) / 4)
    assert found.test_accuracy == 0.25  # of equals the first class
    assert found.test_ci95[0] < 0.25 < found.test_ci95[1]


def test_gains_and_losses_are_counted() -> None:
    assert compare(predictions(0.9, 0.9, 0.1, 0.9), predictions(0.9, 0.1, 0.9, 0.1), LABELS) == (2, 1, 1.0)


def test_images_of_one_group_are_one_piece_of_evidence():
    better, worse, labels = np.tile([0.9, 0.1], (12, 1)), np.tile([0.1, 0.9], (12, 1)), np.zeros(12, np.int64)
    groups = np.repeat([0, 1], 6)
    assert compare(better, worse, labels)[2] < 0.001
    assert compare(better, worse, labels, groups) == (12, 0, 0.5)
    alone, grouped = (score("soup", better, labels, better, labels, each) for each in (None, groups))
    assert grouped.test_ci95[0] < alone.test_ci95[0]


def test_the_sentence_says_what_one_net_and_their_vote_come_to() -> None:
    assert make_summary().sentence == (
        "The greedy soup of 2 of 3 epochs of 0f3a is right on 75.00% of 400 test images, +25.00 points to its best single "
        "epoch (McNemar p 0.001); the vote of the same epochs, at 2 times the cost, 77.50% (+2.50 points to the soup)."
    )
    assert "which these images cannot tell from none" in make_summary(p=0.4).sentence


def test_a_summary_is_read_back_and_a_damaged_one_is_left_out(tmp_path: Path) -> None:
    summary = make_summary()
    assert from_json(to_json(summary)) == summary
    store = Folder(tmp_path, "runs")
    for name, data in (("a", json_bytes(to_json(summary))), ("b", b"{}"), ("c", b"no json")):
        store.put(layout.soup_summary_key("digits", "1a2b", "0f3a", "greedy", name), data)
    assert read_soups(store, "digits", "1a2b") == (summary,)


@pytest.mark.parametrize("harm", [{"best": None}, {"candidates": 3}, {"more": 1}, {"soup": {"name": "x"}}])
def test_a_damaged_summary_is_named(harm: dict[str, Any]) -> None:
    with pytest.raises(DamagedObject, match="run `caucus soup` again"):
        from_json(to_json(make_summary()) | harm)
