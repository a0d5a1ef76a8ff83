"""The report's section on sparsified checkpoints, and the chart as a file of its own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

from ensembles.compression.pruned_curve import to_json
from ensembles.compression.read_curves import read_curves
from ensembles.report.charts.pruned import PAPER, draw_pruned_curve, stand_alone
from ensembles.report.page import render_report
from ensembles.report.sweep.pruned import lay_out
from tests.ensembles.compression.test_pruned_curve import make_curve, make_point
from tests.ensembles.report.test_page import HOSTILE, Reading
from tests.ensembles.samples import make_run
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import to_json as json_bytes


def test_a_run_without_sparsified_checkpoints_has_no_such_section() -> None:
    assert lay_out([]) is None
    assert "Sparsified checkpoints" not in render_report(make_run())


def test_the_section_shows_every_sparsity_with_its_figures() -> None:
    given = make_run()
    trial = given.records[0].trial_id
    page = render_report(replace(given, pruned=(make_curve(trial_id=trial), make_curve(method="channel"))))
    reading = Reading(page)
    assert '<a href="#pruned">' in page
    text = " ".join(reading.text.split())
    assert "By magnitude: " + trial in text
    assert "By channel: 0f3a00000000 at epoch 12" in text
    assert "Without 50 % of the weights" in text
    rows = [
        " ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL)
    ]
    assert "0.5 chosen 50.00% 90.00% 3 / 5 0.73 500 4,400 1,500 20,000 6,000" in rows
    assert "0.9 50.00% 90.00% 1 / 30 1e-07 100 4,400 1,500 20,000 6,000" in rows
    assert "as trained 50.00% \u2013 \u2013 \u2013 1,000 4,400 3,000 20,000 20,000" in rows
    assert page.count('<tr class="chosen">') - render_report(given).count('<tr class="chosen">') == 2
    assert f'href="#trial-1">{trial}</a> at epoch 12' in page


def test_untrusted_text_stays_text() -> None:
    curve = make_curve(
        trial_id=HOSTILE, method=HOSTILE, failed=((0.95, HOSTILE),), points=(make_point(0.5, 0, 0, 1.0),)
    )
    page = render_report(
        replace(make_run(), pruned=(replace(curve, points=(replace(curve.points[0], name=HOSTILE),)),))
    )
    reading = Reading(page)
    assert reading.tags.count("script") == 1
    assert reading.text.count(HOSTILE) >= 3
    assert "{{ 7*7 }}" in reading.text
    svg = stand_alone(draw_pruned_curve(curve))
    assert all("script" not in element.tag for element in ElementTree.fromstring(svg).iter())


def test_the_chart_is_a_whole_svg_file_with_colours_of_its_own() -> None:
    svg = stand_alone(draw_pruned_curve(make_curve()))
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(--" not in svg
    assert PAPER["accent"] in svg
    words = " ".join(text for element in root.iter() for text in (element.text or "",))
    assert "validation accuracy" in words
    assert "sparsified, trained on for 5 epochs" in words
    assert svg == stand_alone(draw_pruned_curve(make_curve()))


def test_the_chart_of_a_curve_without_points_is_drawn_too() -> None:
    assert "0f3a00000000@12" in draw_pruned_curve(make_curve(points=(), test=None)).caption


def test_stored_curves_are_read_and_what_is_damaged_is_left_out(tmp_path: Path) -> None:
    store = Folder(tmp_path, "runs")
    assert read_curves(store, "digits", "1a2b") == ()
    for method, data in (
        ("magnitude", json_bytes(to_json(make_curve()))),
        ("channel", b"{"),
        ("other", b'{"points": []}'),
    ):
        store.put(layout.pruned_curve_key("digits", "1a2b", "0f3a00000000", method), data)
    store.put(layout.pruned_curve_key("digits", "1a2b", "0f3a00000000", "magnitude", "svg"), b"<svg/>")
    assert read_curves(store, "digits", "1a2b") == (make_curve(),)
