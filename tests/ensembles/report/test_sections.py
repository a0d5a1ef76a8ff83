"""What each section of the report says of the team: computed by hand, from evidence that fits on a page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ensembles.calibration.reliability import Bin
from ensembles.evaluation.by_source import score_sources
from ensembles.evaluation.evidence import ClassChange, Evidence, ImageCase
from ensembles.report.charts.metric_text import MISSING, show_loss
from ensembles.report.page import render_report
from ensembles.report.sweep import data as data_section
from ensembles.report.sweep import ladder as ladder_section
from ensembles.report.sweep import trials as trials_section
from ensembles.report.team import agreement as agreement_section
from ensembles.report.team import baselines as baselines_section
from ensembles.report.team import classes as classes_section
from ensembles.report.team import cost as cost_section
from ensembles.report.team import images as images_section
from ensembles.report.team import path as path_section
from ensembles.report.team import reliability as reliability_section
from ensembles.report.team import sources as sources_section
from ensembles.report.team import team as team_section
from ensembles.report.team import verdict as verdict_section
from ensembles.selection_bias.estimate import Estimate
from ensembles.team import Team
from tests.ensembles.report.sample_evidence import make_corrected, with_evidence
from tests.ensembles.samples import make_record, make_run, make_team, member
from trainables.data.data_table import DataTable
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord

RUN = make_run()
FULL = with_evidence(RUN)

EVIDENCE = Evidence(
    left_out_cost=np.array([0.010, -0.001, 0.002]),
    solo=np.array([0.91, 0.88, 0.90]),
    disagreement=np.array([[0.0, 0.1, 0.2], [0.1, 0.0, 0.4], [0.2, 0.4, 0.0]]),
    error_correlation=np.array([[1.0, 0.5, 0.3], [0.5, 1.0, -0.1], [0.3, -0.1, 1.0]]),
    confusion_change=np.array([[2, -2, 0], [1, -3, 2], [0, 0, 0]]),
    classes=(
        ClassChange("cat", 10, 6, 8, 3, 1),
        ClassChange("dog", 10, 9, 6, 0, 3),
        ClassChange("eel", 0, 0, 0, 0, 0),
    ),
    any_correct=0.95,
    reliability_before=(Bin(0.0, 0.5, 20, 0.4, 0.2), Bin(0.5, 1.0, 80, 0.9, 0.85)),
    reliability_after=(Bin(0.0, 0.5, 0, 0.0, 0.0), Bin(0.5, 1.0, 100, 0.73, 0.72)),
    risk_coverage=tuple((share / 100, share / 1000) for share in range(1, 101)),
    fixed=(),
    broken=(ImageCase("b", "cat", "dog", 0.8, "cat", 1),),
    missed=tuple(ImageCase(f"{number}", "cat", "dog", 0.5, "dog", 0) for number in range(70)),
)
TEAM = make_team(0.2, 0.5, 0.3)


def test_the_ladder_goes_from_the_score_that_chose_to_the_corrected_one_to_test() -> None:
    rungs = ladder_section.lay_out(FULL.verdict).rungs
    team, best = FULL.verdict.votes["soft"], FULL.verdict.best
    assert [rung.name for rung in rungs] == ["as selected", "corrected", "test"]
    assert [rung.unbiased for rung in rungs] == [False, True, True]
    assert [rung.team for rung in rungs] == [
        team.validation_accuracy,
        team.validation_accuracy - 0.01,
        team.test_accuracy,
    ]
    assert [rung.best for rung in rungs] == [
        best.validation_accuracy,
        best.validation_accuracy - 0.01,
        best.test_accuracy,
    ]
    assert rungs[0].team_ci95 is None
    assert rungs[2].team_ci95 == team.ci95


def test_the_ladder_says_how_far_its_rungs_are_apart() -> None:
    team = replace(
        FULL.verdict.votes["soft"],
        validation_accuracy=0.95,
        corrected=Estimate(0.93, (0.92, 0.94)),
        test_accuracy=0.925,
    )
    verdict = replace(FULL.verdict, votes={**FULL.verdict.votes, "soft": team})
    assert ladder_section.lay_out(verdict).sentence == (
        "The team scores 95.00% where it was chosen and 92.50% on test, 2.50 points less; "
        "the corrected estimate of 93.00% is 0.50 points above test."
    )
    uncorrected = replace(verdict, votes={**verdict.votes, "soft": replace(team, corrected=None, test_accuracy=0.96)})
    found = ladder_section.lay_out(uncorrected)
    assert len(found.rungs) == 2
    assert found.sentence == "The team scores 95.00% where it was chosen and 96.00% on test, 1.00 points more."


def test_the_verdict_has_three_sentences_and_says_what_it_costs() -> None:
    found = verdict_section.lay_out(FULL.verdict, FULL.team)
    assert len(found.sentences) == 3
    assert found.cost_factor == len(FULL.team.members)
    assert "times the parameters" in found.sentences[2]
    assert verdict_section.lay_out(RUN.verdict, RUN.team).cost_factor is None
    assert "only test is an honest estimate" in verdict_section.lay_out(RUN.verdict, RUN.team).sentences[1]


def test_baselines_that_beat_the_team_are_named() -> None:
    team = FULL.verdict.votes["soft"]
    worse = {name: replace(team, test_accuracy=team.test_accuracy - 0.01, members=8) for name in ("top", "all")}
    assert "at least as good" in baselines_section.lay_out(replace(FULL.verdict, baselines=worse)).sentence
    better = {**worse, "all": replace(team, test_accuracy=team.test_accuracy + 0.003, members=23)}
    assert baselines_section.lay_out(replace(FULL.verdict, baselines=better)).sentence == (
        "On test the plain soft vote of all 23 (+0.30 points) did better than the chosen team: the choosing did not pay here."
    )


def test_intervals_of_scores_are_drawn_on_one_scale() -> None:
    rows = baselines_section.lay_out(RUN.verdict).rows
    assert min(row.drawn.low for row in rows) == 4
    assert max(row.drawn.high for row in rows) == 96
    assert all(row.drawn.low < row.drawn.dot < row.drawn.high for row in rows)
    assert rows[0].score == RUN.verdict.best
    assert [row.kind for row in rows].count("chosen") == 1


def test_the_path_has_its_band_beside_each_pick() -> None:
    found = path_section.lay_out(RUN.team, make_corrected(RUN))
    assert found is not None
    first = RUN.team.path[0]
    assert found.rows[0].band == (first + 0.005, first + 0.015, first + 0.03)
    assert found.rows[0].shown_band == f"{first + 0.015:.4f} ({first + 0.005:.4f} to {first + 0.03:.4f})"
    assert [row.kept for row in found.rows].count(True) == RUN.team.kept_picks
    assert "The band is what the team so far scores on images that its picks did not see" in found.chart.caption
    plain = path_section.lay_out(RUN.team, None)
    assert plain is not None
    assert not plain.has_band
    assert "band" not in plain.chart.caption


def test_members_stand_by_weight_with_what_each_is_worth() -> None:
    rows = team_section.lay_out(TEAM, EVIDENCE, None, {}, {}, ["model.width"]).rows
    assert [row.member for row in rows] == [member(1), member(2), member(0)]
    assert [row.number for row in rows] == [1, 2, 3]
    assert [row.solo for row in rows] == ["88.00%", "90.00%", "91.00%"]
    assert [row.shown_cost for row in rows] == ["-0.10", "+0.20", "+1.00"]
    assert [row.weight_share for row in rows] == [1, 0.6, 0.4]
    assert {(row.rank, row.architecture, row.values) for row in rows} == {(None, MISSING, (MISSING,))}  # of another run


def test_a_member_whose_trial_was_ended_early_says_so() -> None:
    first, second = make_record((0.8, 0.9), "pruned"), make_record((0.8, 0.95), seed=1)
    team = Team(
        (CheckpointId(first.trial_id, 2), CheckpointId(second.trial_id, 1)), (0.5, 0.5), "all", "accuracy", (), (), 0.9
    )
    records = {record.trial_id: record for record in (first, second)}
    rows = team_section.lay_out(team, None, None, records, {second.trial_id: 1}, []).rows
    assert [row.ended_early for row in rows] == [True, False]
    assert [row.accuracy for row in rows] == [0.9, 0.8]
    assert [row.rank for row in rows] == [None, 1]
    assert rows[0].architecture == "cnn"


def test_maps_of_agreement_stand_in_the_order_of_the_team() -> None:
    found = agreement_section.lay_out(TEAM, EVIDENCE)
    assert found is not None
    apart, alike = found.maps
    assert apart.names == (f"1 {member(1)}", f"2 {member(2)}", f"3 {member(0)}")
    assert apart.cells == ((MISSING, "40.0%", "10.0%"), ("40.0%", MISSING, "20.0%"), ("10.0%", "20.0%", MISSING))
    assert alike.cells[0] == (MISSING, "-0.10", "0.50")
    assert [row.disagreement for row in found.rows] == [pytest.approx(0.25), pytest.approx(0.3), pytest.approx(0.15)]
    assert found.sentence == (
        "Two members differ on 23.3% of the test images on average (10.0% to 40.0%), and their errors correlate by 0.23. "
        "At least one has 95.00% right: no choice among their answers can exceed that."
    )
    assert agreement_section.lay_out(make_team(1.0), EVIDENCE) is None
    assert agreement_section.lay_out(TEAM, None) is None


def test_of_many_members_the_heaviest_are_on_the_maps() -> None:
    many = agreement_section.MOST_MEMBERS + 5
    square = np.full((many, many), 0.1)
    evidence = replace(
        EVIDENCE, left_out_cost=np.zeros(many), solo=np.full(many, 0.9), disagreement=square, error_correlation=square
    )
    found = agreement_section.lay_out(make_team(*[1 / many] * many), evidence)
    assert found is not None
    assert (len(found.maps[0].names), found.more, len(found.rows)) == (many - 5, 5, many)


def test_calibration_errors_are_means_over_images() -> None:
    found = reliability_section.lay_out(EVIDENCE)
    assert found is not None
    assert found.ece_before == pytest.approx(0.2 * 0.2 + 0.8 * 0.05)
    assert found.ece_after == pytest.approx(0.01)
    assert [row.low for row in found.rows] == [0.0, 0.5]
    assert found.risk == tuple((tenth / 10, tenth / 100) for tenth in range(1, 11))
    assert "Calibration did not help" not in found.sentence
    worse = reliability_section.lay_out(
        replace(EVIDENCE, reliability_after=(Bin(0, 0.5, 1, 0.4, 0.0), Bin(0.5, 1, 0, 0, 0)))
    )
    assert worse is not None
    assert worse.sentence.endswith("Calibration did not help here.")


def test_classes_show_gains_and_losses() -> None:
    found = classes_section.lay_out(EVIDENCE)
    assert found is not None
    assert found.sentence == (
        "Of 3 classes 1 gains and 1 loses against the best single checkpoint, most of all dog (0 fixed, 3 broken)."
    )
    assert [(row.best, row.team) for row in found.rows] == [(0.6, 0.8), (0.9, 0.6), (None, None)]
    assert [(row.fixed_share, row.broken_share) for row in found.rows] == [(1, pytest.approx(1 / 3)), (0, 1), (0, 0)]
    assert [(row.true, row.predicted, row.change) for row in found.confusions] == [
        ("dog", "eel", 2),
        ("cat", "dog", -2),
        ("dog", "cat", 1),
    ]


def test_on_the_map_of_confusions_above_zero_is_better_everywhere() -> None:
    found = classes_section.lay_out(EVIDENCE)
    assert found is not None
    assert found.chart is not None
    for tooltip in ("cat, cat: +2", "cat, dog: +2", "dog, cat: -1", "dog, dog: -3", "dog, eel: -2"):
        assert f"<title>{tooltip}</title>" in found.chart.svg
    still = classes_section.lay_out(replace(EVIDENCE, confusion_change=np.zeros((3, 3), np.int64)))
    assert still is not None
    assert (still.chart, still.confusions) == (None, ())


def test_sources_are_shown_where_there_are_some_and_their_names_are_escaped() -> None:
    assert sources_section.lay_out(None) is None
    assert sources_section.lay_out(EVIDENCE) is None
    assert FULL.evidence
    right = np.array([True] * 8 + [False] * 8)
    scores = score_sources(["<b>x"] * 8 + ["y"] * 8, right, ~right)
    found = sources_section.lay_out(replace(FULL.evidence, sources=scores))
    assert found
    assert [(row.source, row.images, row.best, row.team) for row in found.rows] == [("<b>x", 8, 0, 1), ("y", 8, 1, 0)]
    page = render_report(replace(FULL, evidence=replace(FULL.evidence, sources=scores)))
    assert '<a href="#sources">' in page
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    assert '<a href="#sources">' not in render_report(FULL)


def test_of_many_sources_the_worst_are_shown() -> None:
    many = sources_section.MOST_ROWS + 3
    right = np.arange(many) % 2 == 0
    found = sources_section.lay_out(
        replace(EVIDENCE, sources=score_sources([f"{n}" for n in range(many)], right, right))
    )
    assert found
    assert (len(found.rows), found.more) == (sources_section.MOST_ROWS, 3)
    assert sum(not row.team for row in found.rows) == many // 2


def test_of_many_classes_those_that_change_most_are_shown_in_their_order() -> None:
    many = classes_section.MOST_CLASSES + 10
    classes = tuple(ClassChange(f"class {number}", 9, 5, 5, number % 7, 0) for number in range(many))
    evidence = replace(EVIDENCE, classes=classes, confusion_change=np.eye(many, dtype=np.int64))
    found = classes_section.lay_out(evidence)
    assert found is not None
    assert (len(found.rows), found.more, found.chart) == (many - 10, 10, None)
    names = [row.change.name for row in found.rows]
    assert names == sorted(names, key=lambda name: int(name.split()[1]))
    assert all(row.change.fixed > 0 or int(row.change.name.split()[1]) < many for row in found.rows)


def test_images_are_bounded_and_counted() -> None:
    found = images_section.lay_out(EVIDENCE, 3)
    assert found is not None
    assert [(kind.name, len(kind.cases), kind.images) for kind in found.lists] == [
        ("missed", images_section.MOST_CASES, 70),
        ("broken", 1, 1),
        ("fixed", 0, 0),
    ]
    assert images_section.missed_csv(EVIDENCE).count(b"\n") == 71


def test_the_cost_of_predictions_is_shown_for_the_team_and_the_baselines() -> None:
    found = cost_section.lay_out(FULL.records, FULL.team, FULL.verdict)
    assert found is not None
    assert [way.members for way in found.ways] == [1, len(FULL.team.members), 8, 23]
    assert [way.factor for way in found.ways] == [1, len(FULL.team.members), 8, 23]
    assert found.ways[0].flops == "1 M"


def table(train: list[int], validation: list[int], test: list[int]) -> DataTable:
    """Classes a, b, c … with so many images in each split."""
    labels = [np.repeat(np.arange(len(counts)), counts) for counts in (train, validation, test)]
    splits = np.repeat(np.array([0, 1, 2], np.int8), [len(part) for part in labels])
    every = np.concatenate(labels)
    return DataTable("d1", "pets", tuple("abcdefgh"[: len(train)]), tuple(map(str, range(len(every)))), every, splits)


def test_classes_are_counted_in_each_split_and_odd_ones_named() -> None:
    found = data_section.lay_out(table([100, 10, 50], [10, 0, 5], [20, 3, 12]), [])
    assert [(one.name, one.train, one.validation, one.test) for one in found.classes] == [
        ("a", 100, 10, 20),
        ("b", 10, 0, 3),
        ("c", 50, 5, 12),
    ]
    assert found.images == {"train": 160, "validation": 15, "test": 35}
    assert found.findings == (
        "b has no validation images.",
        "Classes are uneven: a has 100 training images, b 10. Accuracy is mostly that of the large ones; balanced accuracy and macro F1 are not.",
        "b has fewer than 10 test images: what is said of it alone is a guess.",
    )
    assert data_section.lay_out(table([30, 30], [10, 10], [20, 20]), []).findings == ()


def test_many_left_out_predictions_are_bounded_and_counted() -> None:
    left_out = [(CheckpointId("ab" * 6, number), "gone") for number in range(1, 500)]
    found = data_section.lay_out(table([1], [1], [10]), left_out)
    assert (len(found.left_out), found.left_out_count) == (data_section.MOST_LEFT_OUT, 499)


def test_the_table_of_trials_keeps_the_team_whatever_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials_section, "MOST_ROWS", 2)
    records = [make_record((0.9 - 0.1 * number,), seed=number) for number in range(5)]
    team = Team((CheckpointId(records[3].trial_id, 1),), (1.0,), "best", "accuracy", (), (), 0.9)
    found = trials_section.lay_out(records, team, [])
    assert [(row.rank, row.votes) for row in found.rows] == [(1, False), (2, False), (4, True)]
    assert found.more == 2
    assert found.states == "5 trials: 5 finished"


def test_a_long_reason_is_cut() -> None:
    record = TrialRecord(make_record((0.5,)).config, "failed", "x" * 10_000)
    assert len(trials_section.describe_state(record)) == trials_section.LONGEST_REASON + 1


def test_nothing_is_never_minus_nothing() -> None:
    assert show_loss("log_loss", -0.00001) == "+0.0000"
    assert show_loss("accuracy", -0.00001) == "+0.00"
