from __future__ import annotations

import numpy as np
import pytest

from trainables.errors import DamagedObject
from trainables.results.boost_table import BoostTable, boost_from_arrow, boost_to_arrow

ROWS = np.array([3, 5, 9], np.int32)


def test_a_table_is_read_as_it_was_written():
    table = BoostTable("d", ROWS, np.array([0.1, 0.2, 0.7]))
    read = boost_from_arrow(boost_to_arrow(table))
    assert read.data_id == "d"
    assert np.array_equal(read.rows, ROWS)
    assert np.array_equal(read.weights, table.weights)
    assert boost_to_arrow(read) == boost_to_arrow(table)


@pytest.mark.parametrize("weights", [[0.5, 0.5], [0.5, 0.6, -0.1], [0.5, 0.5, 0.5], [0.5, 0.5, float("nan")]])
def test_weights_that_are_no_shares_of_one_are_refused(weights):
    with pytest.raises(DamagedObject):
        BoostTable("d", ROWS, np.array(weights))


def test_bytes_that_are_no_table_are_refused():
    with pytest.raises(DamagedObject, match="not a table of boosting"):
        boost_from_arrow(b"nothing of the kind")
    with pytest.raises(DamagedObject):
        boost_from_arrow(boost_to_arrow(BoostTable("d", ROWS, np.array([0.1, 0.2, 0.7])))[:-40])
