from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ensembles.analysis.training_summary import MOST_TRIALS, MonitoredTrial, read_statistics
from ensembles.report.charts.training import MOST_LAYERS, describe_training, draw_layers, draw_statistics
from ensembles.report.page import render_report
from ensembles.report.sweep.training import MOST_ROWS, lay_out
from tests.ensembles.report.test_page import Reading, thousand_trials
from tests.ensembles.samples import make_record, make_run, make_team, member
from trainables.config.trial import TrialConfig
from trainables.results.checkpoint import CheckpointId, write_checkpoint
from trainables.results.layer_statistics import LayerStatistics, layers_to_arrow
from trainables.results.record import TrialRecord
from trainables.store import layout
from trainables.store.folder import Folder

RELU = LayerStatistics("features.2", "ReLU", 0.5, 1.0, 0.25, -3.5, 4.5, (1, 5, 2))
CONV = LayerStatistics("features.0.weight", "Conv2d", update_ratio=0.002)


def monitored_record(*validation: float, seed: int = 0, **seen: float | None) -> TrialRecord:
    values = {"fit_loss": 0.1, "fit_accuracy": 0.9, "rate": 0.1, "grad_norm": 2.0, "update_ratio": 0.001} | seen
    values = {"dead_share": 0.25, "surge": 1.1} | values
    record = make_record(validation, seed=seed)
    return replace(record, epochs=tuple(replace(epoch, **values) for epoch in record.epochs))


def test_the_caption_says_what_the_last_epoch_showed():
    description = describe_training(monitored_record(0.7, 0.8).epochs)
    assert description == (
        "Epoch 2: loss 0.1 on training images, 0.2 on validation; accuracy 90.0% and 80.0%, a gap of +10.0 points; "
        "a step moves the weights by 0.001 of their norm, inside the band; gradient norm 2; "
        "25.0% of the units dead in the worst layer."
    )


@pytest.mark.parametrize(("ratio", "where"), [(9e-5, "below"), (1e-4, "inside"), (1e-2, "inside"), (0.02, "above")])
def test_an_update_ratio_is_described_against_the_band(ratio, where):
    assert f"{where} the band" in describe_training(monitored_record(0.7, update_ratio=ratio).epochs)


def test_a_trial_of_an_older_version_has_no_chart_and_a_run_of_them_no_section():
    old = make_record((0.7, 0.8))
    assert draw_statistics(old) is None
    assert lay_out([MonitoredTrial(old, 2)]) is None
    assert 'id="watch"' not in render_report(make_run())


def test_what_is_missing_or_zero_leaves_a_gap_in_a_line():
    chart = draw_statistics(monitored_record(0.7, 0.8, update_ratio=0.0, grad_norm=None))
    assert chart is not None
    assert "gradient norm" not in chart.caption
    assert "nan" not in chart.svg


def test_layers_without_a_histogram_are_not_drawn_and_of_many_some_are():
    assert draw_layers([CONV], "x") is None
    assert draw_layers([replace(RELU, low=1.0, high=1.0)], "x") is None
    few = draw_layers([RELU, CONV], "x")
    assert few is not None
    assert few.caption == "What enters each non-linearity; the line is zero."
    many = draw_layers([replace(RELU, layer=f"layer{number}") for number in range(MOST_LAYERS + 7)], "x")
    assert many is not None
    assert many.caption.startswith(f"What enters {MOST_LAYERS} of {MOST_LAYERS + 7} non-linearities")
    drawn = re.findall(r">layer(\d+) ReLU<", many.svg)
    assert (len(drawn), drawn[0], drawn[-1]) == (MOST_LAYERS, "0", str(MOST_LAYERS + 6))


def test_a_long_table_of_layers_says_how_many_it_leaves_out():
    section = lay_out([MonitoredTrial(monitored_record(0.7), 1, (CONV,) * (MOST_ROWS + 3))])
    assert section is not None
    assert (len(section.rows[0].layers), section.rows[0].more) == (MOST_ROWS, 3)


def test_names_of_layers_are_text_in_the_page():
    evil = "<script>alert(1)</script>$x$&"
    layers = (replace(RELU, layer=evil), replace(CONV, layer=evil, kind="<b>Own</b>"))
    page = render_report(replace(make_run(), monitored=(MonitoredTrial(monitored_record(0.7, 0.8), 2, layers),)))
    reading = Reading(page)
    assert reading.tags.count("script") == 1
    assert reading.text.count("<b>Own</b>") == 1
    assert evil in reading.text
    assert "2 layers after epoch 2" in reading.text


def stored(tmp_path, *records: TrialRecord) -> Folder:
    store = Folder(tmp_path, "runs")
    for record in records:
        parts = {layout.LAYER_STATISTICS: layers_to_arrow((RELU, CONV))}
        write_checkpoint(store, CheckpointId(record.trial_id, record.epochs[-1].epoch), parts)
    return store


def choose(*weighted: tuple[TrialRecord, float]):
    members = tuple(CheckpointId(record.trial_id, place + 1) for place, (record, _) in enumerate(weighted))
    total = sum(weight for _, weight in weighted)
    return replace(make_team(1.0), members=members, weights=tuple(weight / total for _, weight in weighted))


def test_the_team_is_read_heaviest_first_with_the_layers_of_its_last_epoch(tmp_path):
    light, heavy, lost = (monitored_record(0.7, 0.8, seed=seed) for seed in range(3))
    store = stored(tmp_path, light, heavy)
    found = read_statistics(store, [light, lost, heavy], choose((light, 0.3), (heavy, 0.5), (lost, 0.2)))
    assert found == (
        MonitoredTrial(heavy, 2, (RELU, CONV)),
        MonitoredTrial(light, 2, (RELU, CONV)),
        MonitoredTrial(lost, 2, ()),
    )


def test_at_most_six_trials_are_shown_and_one_with_two_members_once(tmp_path):
    records = [monitored_record(0.7, seed=seed) for seed in range(MOST_TRIALS + 2)]
    twice = choose(*((record, 0.1) for record in records), (records[0], 0.1))
    found = read_statistics(stored(tmp_path), records, twice)
    assert [trial.record for trial in found] == records[:MOST_TRIALS]


def test_members_that_are_unknown_or_were_not_monitored_are_left_out(tmp_path):
    old = TrialRecord(TrialConfig(data_id="d1", seed=9), "finished", "", make_record((0.7,)).epochs)
    assert read_statistics(stored(tmp_path), [old], choose((old, 1.0))) == ()
    assert read_statistics(stored(tmp_path), [old], replace(make_team(1.0), members=(member(0),))) == ()


def test_many_trials_of_many_layers_share_the_rows() -> None:
    trials = [MonitoredTrial(monitored_record(0.7), 1, (CONV,) * MOST_ROWS) for _ in range(6)]
    section = lay_out(trials)
    assert section is not None
    assert [len(row.layers) for row in section.rows] == [MOST_ROWS] * 3 + [0, 0, 0]
    assert [row.more for row in section.rows] == [0] * 3 + [MOST_ROWS] * 3


@pytest.mark.long
def test_a_thousand_trials_with_the_deepest_nets_monitored_still_fit():
    curve = tuple(0.5 + 0.01 * epoch for epoch in range(27))
    layers = tuple(
        replace(RELU if number % 2 else CONV, layer=f"features.{number}.block") for number in range(MOST_ROWS)
    )
    trials = tuple(MonitoredTrial(monitored_record(*curve), 27, layers) for _ in range(MOST_TRIALS))
    page = render_report(replace(thousand_trials(), monitored=trials))
    assert len(page.encode()) < 1_500_000
