"""Charts by hand: places and ticks as computed on paper, and untrusted text as text."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from ensembles.report.charts import svg
from ensembles.report.charts.svg import Axis


def test_values_lie_where_a_ruler_puts_them() -> None:
    axis = Axis(0.2, 0.6, 100, 300)
    assert [axis.place(value) for value in (0.2, 0.3, 0.6)] == [100, 150, 300]
    assert [axis.place(value) for value in (-5, 9)] == [100, 300]  # what is outside lies on the nearer end
    upright = Axis(0, 1, 200, 0)
    assert upright.place(0.25) == 150
    assert Axis(0.01, 100, 0, 40, log=True).place(1) == 20
    assert Axis(3, 3, 0, 40).place(3) == 20


@pytest.mark.parametrize(
    ("axis", "most", "ticks"),
    [
        (Axis(0, 1, 0, 1), 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis(0.913, 0.927, 0, 1), 6, [0.915, 0.92, 0.925]),
        (Axis(0, 0.3, 0, 1), 4, [0, 0.1, 0.2, 0.3]),
        (Axis(7, 7, 0, 1), 6, [7]),
        (Axis(1e-5, 1e-2, 0, 1, log=True), 7, [1e-5, 1e-4, 1e-3, 1e-2]),
        (Axis(1e-9, 1, 0, 1, log=True), 5, [1e-9, 1e-7, 1e-5, 1e-3, 1e-1]),
    ],
)
def test_ticks_are_round_and_inside(axis: Axis, most: int, ticks: list[float]) -> None:
    assert axis.ticks(most) == ticks


def test_an_axis_leaves_a_margin_on_both_sides() -> None:
    axis = svg.spread([1.0, 3.0], 0, 100, margin=0.1)
    assert (axis.low, axis.high) == (pytest.approx(0.8), pytest.approx(3.2))
    only = svg.spread([2.0], 0, 100)
    assert only.place(2.0) == 50


def test_text_is_escaped() -> None:
    text = svg.svg([svg.label(1, 2, "<b>&\"'"), svg.dot(1, 2, 3, "dot", title="<i>")], 9, 'say "<x>"')
    root = ET.fromstring(text)
    assert root.attrib["aria-label"] == 'say "<x>"'
    assert [element.text for element in root.iter() if element.tag in ("text", "title")] == ["<b>&\"'", "<i>"]


def test_a_heat_map_has_a_cell_for_each_number_and_none_for_what_is_none() -> None:
    values = np.array([[np.nan, 0.2], [-0.4, 0.0]])
    root = ET.fromstring(svg.heat_map(values, ["a", "b"], ["1", "2"], "{:+.1f}", "map", (-0.4, 0.2), signed=True))
    cells = [element for element in root if element.tag == "rect"]
    assert [cell.attrib["class"] for cell in cells] == ["hp3", "hn6", "hp0"]
    assert [cell[0].text for cell in cells] == ["a, 2: +0.2", "b, 1: -0.4", "b, 2: +0.0"]
    assert [element.text for element in root if element.tag == "text"] == ["1", "2", "a", "b", "+0.2", "-0.4"]


def test_shades_reach_from_the_least_to_the_most() -> None:
    values = np.array([[0.2, 0.3, 0.5]])
    root = ET.fromstring(svg.heat_map(values, ["a"], ["1", "2", "3"], "{:.1f}", "map", (0.2, 0.5)))
    assert [element.attrib["class"] for element in root if element.tag == "rect"] == ["hp0", "hp2", "hp6"]
