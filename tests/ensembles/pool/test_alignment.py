"""Files are read a few at a time, and their results come in order."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from ensembles.pool.alignment import images_of, read_in_order
from trainables.data.data_table import DataTable
from trainables.data.images import labels_sha256
from trainables.results.true_class import rows_sha256

TABLE = DataTable(
    "d1", "six", ("cat", "dog"), tuple("abcdef"), np.array([0, 1, 1, 0, 1, 0]), np.array([0, 1, 2, 1, 1, 2], np.int8)
)


def test_images_of_a_split_carry_the_proofs_of_their_rows_and_labels() -> None:
    images = images_of(TABLE, "test")
    assert images.rows.tolist() == [2, 5]
    assert images.labels.tolist() == [1, 0]
    assert images.rows_sha256 == rows_sha256(np.array([2, 5]))
    assert images.labels_sha256 == labels_sha256(np.array([1, 0]))
    assert images.shape == (2, 2)


def test_results_come_in_the_order_of_the_items_whoever_is_done_first() -> None:
    later = threading.Event()

    def read(number: int) -> int:
        if number == 0:
            assert later.wait(30)
        if number == 2:
            later.set()
        return number * number

    assert list(read_in_order(read, range(6), readers=3)) == [(number, number * number) for number in range(6)]


@pytest.mark.parametrize("readers", [1, 3])
def test_no_more_are_begun_than_readers_and_the_one_that_is_used(readers: int) -> None:
    begun: list[int] = []

    def read(number: int) -> int:
        begun.append(number)
        return number

    for number, _ in read_in_order(read, range(20), readers):
        time.sleep(0.001)
        assert len(begun) <= number + readers + 1


def test_an_error_comes_out_where_its_item_would() -> None:
    def read(number: int) -> int:
        if number == 2:
            raise OSError("gone")
        return number

    found = read_in_order(read, range(9), readers=4)
    assert [next(found), next(found)] == [(0, 0), (1, 1)]
    with pytest.raises(OSError, match="gone"):
        next(found)
