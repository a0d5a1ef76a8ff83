"""Charts fit into the page: its colours, its words, no ids twice, the same bytes each time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import pytest

from ensembles.analysis.search_summary import RangeCurve
from ensembles.config import EnsembleConfig
from ensembles.report.charts import charts
from ensembles.report.charts.charts import draw_greedy_path, draw_learning_curves, draw_range_test
from tests.ensembles.samples import make_run, make_team

RUN = make_run()


def test_charts_are_well_formed_and_described() -> None:
    for chart in (draw_learning_curves(RUN.records, RUN.team), draw_greedy_path(RUN.team)):
        assert chart is not None
        root = ET.fromstring(chart.svg.replace("xlink:", ""))
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == chart.caption


def test_colours_are_those_of_the_page() -> None:
    chart = draw_learning_curves(RUN.records, RUN.team)
    assert chart is not None
    assert set(re.findall(r"var\(--(\w+)\)", chart.svg)) == {"accent", "faint", "line", "muted"}
    assert not re.search(r"#[0-9a-f]{6}\b", chart.svg)


def test_two_charts_on_a_page_share_no_ids() -> None:
    curves, path = draw_learning_curves(RUN.records, RUN.team), draw_greedy_path(RUN.team)
    assert curves is not None
    assert path is not None
    ids = re.findall(r' id="([^"]+)"', curves.svg + path.svg)
    assert len(ids) == len(set(ids))
    for svg in (curves.svg, path.svg):
        inside = set(re.findall(r' id="([^"]+)"', svg))
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg)) <= inside


def test_the_same_run_gives_the_same_bytes_whatever_a_person_has_configured() -> None:
    before = draw_learning_curves(RUN.records, RUN.team)
    with mpl.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path", "lines.linewidth": 9}):
        assert draw_learning_curves(RUN.records, RUN.team) == before


def test_numbers_on_the_axes_are_not_cut() -> None:
    team = replace(RUN.team, path=(0.2625, 0.2575), picks=RUN.team.members[:2], validation_score=0.2575, kept=2)
    chart = draw_greedy_path(team)
    assert chart is not None
    shown = re.findall(r">(0\.\d+)<", chart.svg)
    assert len(shown) == len(set(shown)) > 2


def test_the_caption_of_curves_describes_them() -> None:
    chart = draw_learning_curves(RUN.records, RUN.team)
    assert chart is not None
    voting = len({member.trial_id for member in RUN.team.members})
    assert f"23 trials, of which {voting} vote" in chart.caption
    assert "the longest at epoch 27" in chart.caption
    assert "is cut off" in chart.caption


def test_curves_beyond_the_limit_are_mentioned_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw_learning_curves(RUN.records, RUN.team)
    monkeypatch.setattr(charts, "MOST_CURVES", 8)
    fewer = draw_learning_curves(RUN.records, RUN.team)
    assert whole is not None
    assert fewer is not None
    assert "The 15 trials with the lowest accuracy are not drawn." in fewer.caption
    assert len(fewer.svg) < len(whole.svg)


def test_where_there_is_nothing_to_draw_there_is_no_chart() -> None:
    assert draw_learning_curves([], RUN.team) is None
    assert draw_greedy_path(make_team(1.0)) is None


def test_one_trial_of_one_epoch_can_be_drawn() -> None:
    only = replace(RUN.records[0], epochs=RUN.records[0].epochs[:1])
    chart = draw_learning_curves([only], make_team(1.0))
    assert chart is not None
    assert "cut off" not in chart.caption


def test_a_path_by_accuracy_is_shown_in_percent() -> None:
    chart = draw_greedy_path(make_run(trials=9, ensemble=EnsembleConfig(metric="accuracy")).team)
    assert chart is not None
    assert re.match(
        r"Validation accuracy of the team after each pick \(higher is better\): \d\d\.\d\d% with", chart.caption
    )


CURVE = RangeCurve("2 blocks <&>", (1e-4, 1e-3, 1e-2, 1e-1, 1.0), (2.3, 2.2, 1.5, 1.0, 90.0), 1e-3, 1e-1)


def test_a_range_test_is_drawn_in_the_pages_colours_and_described() -> None:
    chart = draw_range_test(CURVE, 0)
    assert chart is not None
    assert ET.fromstring(chart.svg.replace("xlink:", "")).attrib["aria-label"] == chart.caption
    assert chart.caption == "2 blocks <&>: learning rates 0.001 to 0.1. Losses above 2.9 are cut off."
    assert set(re.findall(r"var\(--(\w+)\)", chart.svg)) == {"accent", "line", "muted"}
    assert {"0.0001", "0.01", "1"} <= set(re.findall(r">([\d.]+)<", chart.svg))


def test_two_range_tests_on_a_page_share_no_ids() -> None:
    drawn = [draw_range_test(CURVE, number) for number in (0, 1)]
    ids = [name for chart in drawn if chart for name in re.findall(r' id="([^"]+)"', chart.svg)]
    assert ids
    assert len(ids) == len(set(ids))


def test_a_range_test_of_one_usable_point_is_not_drawn() -> None:
    assert draw_range_test(replace(CURVE, losses=(2.3, float("nan"), float("inf"))), 0) is None
