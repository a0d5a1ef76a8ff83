"""The sweep as context of the team: who is drawn, where borders are, who was ended early."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ensembles.analysis.search_summary import SearchSummary
from ensembles.report.charts import sweep as sweep_charts
from ensembles.report.charts.charts import draw_learning_curves
from ensembles.report.charts.sweep import choose_drawn, draw_parallel, draw_rate_map
from ensembles.report.sweep import sweep as sweep_section
from ensembles.team import Team
from tests.ensembles.samples import make_record, make_run, make_team
from trainables.config.model import ModelConfig
from trainables.config.training import OptimizerConfig
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord, rank

RUN = make_run()
RANKED = rank(RUN.records)
VOTING = {member.trial_id for member in RUN.team.members}
KEYS = ["model.blocks", "model.batch_norm", "optimizer.lr"]


def trial(accuracy: float, lr: float, decay: float, seed: int) -> TrialRecord:
    record = make_record((accuracy,), seed=seed)
    return replace(
        record, config=record.config.model_copy(update={"optimizer": OptimizerConfig(lr=lr, weight_decay=decay)})
    )


def test_the_team_is_drawn_whatever_its_rank() -> None:
    records = [make_record((0.9 - 0.1 * number,), seed=number) for number in range(6)]
    last = records[-1].trial_id
    assert choose_drawn(records, {last}, 3) == [records[0], records[1], records[-1]]
    assert choose_drawn([make_record(())], set(), 3) == []


def test_each_drawn_trial_is_one_line_of_its_own() -> None:
    chart = draw_parallel(RANKED, VOTING, KEYS)
    assert chart is not None
    lines = re.findall(r'<path class="(curve(?: v)?)" data-t="([0-9a-f]{12})" d="([^"]+)"', chart.svg)
    assert {name for _, name, _ in lines} == {record.trial_id for record in RANKED if record.best}
    assert {name for kind, name, _ in lines if kind == "curve v"} == VOTING
    assert all(points.count("L") == len(KEYS) for _, _, points in lines)
    assert lines[-1][1] == next(record.trial_id for record in RANKED if record.trial_id in VOTING)  # the best on top
    for word in ("blocks", "batch_norm", "lr", "yes", "no", "accuracy"):
        assert f">{word}</text>" in chart.svg


def test_a_value_lies_where_its_axis_says() -> None:
    records = [
        make_record((accuracy,), seed=number, model=ModelConfig(width=width))
        for number, (accuracy, width) in enumerate([(0.9, 32), (0.8, 16), (0.7, 8)])
    ]
    chart = draw_parallel(records, set(), ["model.width"])
    assert chart is not None
    drawn = dict(re.findall(r'data-t="([0-9a-f]+)" d="M[\d.]+ ([\d.]+)L', chart.svg))
    assert [float(drawn[record.trial_id]) for record in records] == [
        44,
        157,
        270,
    ]  # a step for each value, the lowest below


def test_lines_beyond_the_limit_are_mentioned_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_charts, "MOST_LINES", 10)
    monkeypatch.setattr(sweep_charts, "MOST_AXES", 2)
    chart = draw_parallel(RANKED, VOTING, KEYS)
    assert chart is not None
    assert "13 trials with lower accuracy are not drawn. 1 more hyperparameters have no axis." in chart.caption
    assert draw_parallel(RANKED[:1], set(), KEYS) is None
    assert draw_parallel(RANKED, set(), []) is None


def test_untrusted_values_are_text_on_an_axis() -> None:
    names = ("<b>x", 'a"&c')
    records = [
        make_record((0.9 - number / 10,), seed=number, model=ModelConfig().model_copy(update={"name": name}))
        for number, name in enumerate(names)
    ]
    chart = draw_parallel(records, set(), ["model.name"])
    assert chart is not None
    assert "&lt;b&gt;x" in chart.svg
    assert "<b>" not in chart.svg


def test_best_trials_at_the_end_of_a_range_mark_its_border() -> None:
    ranges = {"optimizer.lr": (0.001, 1.0), "optimizer.weight_decay": (1e-5, 1e-2)}
    inside = [trial(0.9 - 0.01 * number, 0.03, 1e-3 / (number + 1), number) for number in range(9)]
    inside.append(trial(0.5, 0.2, 1e-4, 99))
    found = draw_rate_map(inside, set(), ranges)
    assert found is not None
    assert found.borders == ()
    assert "The best trials lie inside." in found.chart.caption
    at_the_top = [trial(0.95 - 0.001 * number, 0.99 - 0.01 * number, 1e-3, 50 + number) for number in range(3)]
    found = draw_rate_map([*at_the_top, *inside], set(), ranges)
    assert found is not None
    assert found.borders == ("3 of the best 3 lie at the upper end of the learning rate, 1: widen it.",)
    assert found.chart.svg.count('class="alert"') == 1


def test_no_weight_decay_has_a_line_of_its_own() -> None:
    records = [trial(0.9, 0.1, 0.0, 0), trial(0.8, 0.01, 1e-4, 1), trial(0.7, 0.02, 1e-3, 2)]
    found = draw_rate_map(records, set(), {})
    assert found is not None
    assert ">0</text>" in found.chart.svg
    assert "what was tried" in found.chart.caption
    low = re.search(rf'data-t="{records[0].trial_id}" cx="[\d.]+" cy="([\d.]+)"', found.chart.svg)
    assert low is not None
    assert float(low[1]) == 320


def test_where_both_do_not_vary_there_is_no_map() -> None:
    same = [trial(0.9, 0.1, 1e-4, 0), trial(0.8, 0.1, 1e-3, 1)]
    assert draw_rate_map(same, set(), {}) is None
    assert draw_rate_map([], set(), {}) is None


def test_rungs_are_marked_on_the_curves() -> None:
    chart = draw_learning_curves(RUN.records, RUN.team, (1, 3, 9, 27))
    plain = draw_learning_curves(RUN.records, RUN.team)
    assert chart is not None
    assert plain is not None
    assert "Rungs, at which trials are ended: 1, 3, 9." in chart.caption  # the last epoch ends every trial
    assert ">rungs<" in chart.svg
    assert "ungs" not in plain.svg


def test_curves_name_their_trials() -> None:
    chart = draw_learning_curves(RUN.records, RUN.team)
    assert chart is not None
    assert set(re.findall(r'<g data-t="([0-9a-f]{12})">', chart.svg)) == {
        record.trial_id for record in RUN.records if record.epochs
    }


def test_members_that_were_ended_early_are_listed() -> None:
    first, second = make_record((0.95,), seed=0), make_record((0.8, 0.9), "pruned", seed=1)
    second = replace(second, reason="pruned at epoch 2")
    team = Team(
        (CheckpointId(first.trial_id, 1), CheckpointId(second.trial_id, 1)),
        (0.75, 0.25),
        "all",
        "accuracy",
        (),
        (),
        0.9,
    )
    found = sweep_section.lay_out([first, second], team, SearchSummary(), [])
    assert found is not None
    (early,) = found.early
    assert (early.member.trial_id, early.description, early.weight, early.accuracy, early.rank) == (
        second.trial_id,
        "pruned at epoch 2",
        0.25,
        0.8,
        2,
    )
    assert found.early_sentence == (
        "1 of 2 members, with 25% of the weight, comes from a trial that was ended early: every checkpoint may vote."
    )
    assert sweep_section.lay_out([], make_team(1.0), SearchSummary(), []) is None


def test_importance_says_what_it_is_and_how_much_is_explained() -> None:
    records = rank(
        [
            make_record(
                (0.5 + 0.01 * number % 0.03 + (0.2 if number % 2 else 0),),
                seed=number,
                model=ModelConfig(width=32 if number % 2 else 8),
            )
            for number in range(40)
        ]
    )
    found = sweep_section.lay_out(records, make_team(1.0), SearchSummary(), ["model.width"])
    assert found is not None
    assert found.importance is not None
    assert [row.key for row in found.importance.rows] == ["model.width"]
    assert found.importance.rows[0].share == 1
    assert re.match(
        r"A random forest explains \d\d% of the variance between 40 trials at epoch 1", found.importance.sentence
    )
