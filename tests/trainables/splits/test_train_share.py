import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.splits.train_share import choose_share

LABELS = np.array([0] * 60 + [1] * 30 + [2] * 10)
ROWS = np.arange(0, 100, 2)  # 30, 15 and 5 of the classes


@pytest.mark.parametrize(
    ("share", "of_class"), [(1, [30, 15, 5]), (0.5, [15, 8, 3]), (0.1, [3, 2, 1]), (0.001, [1, 1, 1])]
)
def test_each_class_keeps_its_share_and_at_least_one_image(share, of_class):
    chosen = choose_share(LABELS, ROWS, share)
    assert np.bincount(LABELS[chosen]).tolist() == of_class
    assert set(chosen) <= set(ROWS)
    assert (np.diff(chosen) > 0).all()


@given(st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_larger_share_holds_all_of_a_smaller_one(one, other):
    small, large = (set(choose_share(LABELS, ROWS, share).tolist()) for share in sorted((one, other)))
    assert small <= large


def test_whole_groups_are_selected_and_a_larger_share_contains_a_smaller_one():
    labels = np.repeat([0, 1], 60)
    groups = np.arange(120) // 6
    rows = np.arange(120)
    before: set[int] = set()
    for share in (0.05, 0.2, 0.5, 0.8):
        chosen = choose_share(labels, rows, share, groups)
        assert all((groups == group).sum() == 6 for group in groups[chosen])
        assert {int(row) for row in rows if groups[row] in set(groups[chosen])} == set(chosen.tolist())
        assert before <= set(chosen.tolist())
        before = set(chosen.tolist())
        # ten groups of each class: those whose middle lies within the share, at least one
        assert len(chosen) == 12 * max(1, round(10 * share))
