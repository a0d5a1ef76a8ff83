import math

import pytest

from runner.space.draws import share_of
from runner.space.parse import parse_distribution


@pytest.mark.parametrize(
    ("raw", "share", "value"),
    [
        ({"choice": [16, 32, 64]}, 0.0, 16),
        ({"choice": [16, 32, 64]}, 0.99, 64),
        ({"uniform": [0.0, 0.5]}, 0.5, 0.25),
        ({"log": [1e-4, 1e-2]}, 0.5, 1e-3),
        ({"int": [1, 3]}, 0.0, 1),
        ({"int": [1, 3]}, 0.999, 3),
    ],
)
def test_a_draw_lies_at_its_share_of_the_distribution(raw, share, value):
    assert parse_distribution(raw).draw(share) == value


def test_a_drawn_number_is_short():
    assert parse_distribution({"log": [1e-4, 1e-1]}).draw(1 / 3) == 1e-3
    assert parse_distribution({"uniform": [0, 1]}).draw(1 / 3) == 0.3333


@pytest.mark.parametrize(
    ("raw", "points"),
    [
        ({"choice": [True, False]}, (True, False)),
        ({"log": [1e-3, 1e-1], "steps": 3}, (1e-3, 1e-2, 1e-1)),
        ({"uniform": [0, 1], "steps": 5}, (0, 0.25, 0.5, 0.75, 1)),
        ({"int": [1, 4]}, (1, 2, 3, 4)),
    ],
)
def test_a_mesh_has_the_points_that_were_asked_for(raw, points):
    assert parse_distribution(raw).mesh() == points


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (0.1, "not a distribution"),
        ({}, "names nothing"),
        ({"chioce": [1]}, "names chioce"),
        ({"choice": [1], "log": [1, 2]}, "exactly one"),
        ({"choice": []}, "choice is empty"),
        ({"choice": [1, 2, 1]}, "names 1 twice"),
        ({"choice": [[1]]}, "only plain values"),
        ({"uniform": [1, 0]}, "from 1 to 0"),
        ({"uniform": [1, 1]}, "from 1 to 1"),
        ({"uniform": [0]}, "1 value"),
        ({"uniform": ["a", 1]}, "'a'"),
        ({"uniform": [0, math.inf]}, "inf"),
        ({"log": [0, 1]}, "above zero"),
        ({"int": [0.5, 2]}, "whole numbers"),
        ({"log": [1, 2], "steps": 1}, "at least 2"),
    ],
)
def test_a_wrong_distribution_is_refused_with_its_value_and_the_rule(raw, message):
    with pytest.raises(ValueError, match=message):
        parse_distribution(raw)


def test_true_and_one_are_different_choices():
    assert parse_distribution({"choice": [True, 1]}).values == (True, 1)


def test_a_grid_over_a_range_must_say_how_many_points():
    with pytest.raises(ValueError, match="steps"):
        parse_distribution({"log": [1e-3, 1]}).mesh()


def test_a_distribution_survives_to_dict_and_parse():
    for raw in ({"choice": [1, "a", None]}, {"log": [1e-3, 1.0], "steps": 4}, {"int": [1, 9]}):
        assert parse_distribution(parse_distribution(raw).to_dict()) == parse_distribution(raw)


def test_shares_are_the_same_on_every_machine():
    assert [round(share_of(0, index, "optimizer.lr"), 6) for index in range(3)] == SHARES


SHARES = [0.678995, 0.534146, 0.655349]
