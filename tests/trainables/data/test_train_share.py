import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.train_share import choose_share

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
