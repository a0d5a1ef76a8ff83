"""The file of a mean gives back its numbers, or is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensembles.pool.mean_file import MeanFile, mean_from_arrow, mean_to_arrow
from trainables.errors import MismatchedPredictions

MEAN = MeanFile("ab" * 32, np.array([[0.1, 0.9], [1 / 3, 2 / 3]]))


def test_a_file_gives_back_what_was_written_to_the_bit() -> None:
    read = mean_from_arrow(mean_to_arrow(MEAN))
    assert read.rows_sha256 == "ab" * 32
    assert read.probabilities.tolist() == [[0.1, 0.9], [1 / 3, 2 / 3]]


@pytest.mark.parametrize("data", [b"", b"something", mean_to_arrow(MEAN)[:-20]])
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(MismatchedPredictions, match="not a file of mean probabilities"):
        mean_from_arrow(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=8), st.integers(0, 900))
def test_damage_anywhere_is_refused_or_touches_no_number(noise: bytes, place: int) -> None:
    whole = mean_to_arrow(MEAN)
    try:
        read = mean_from_arrow(whole[:place] + noise + whole[place + len(noise) :])
    except MismatchedPredictions:
        return
    assert read.probabilities.tolist() == MEAN.probabilities.tolist()
