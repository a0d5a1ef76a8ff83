"""An ablation by hand: three seeds, a change that helps, and trials that did not come through."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ensembles.ablation import Ablation, Arm, Reach, compare, paired_interval
from tests.ensembles.samples import make_record

BASELINE = Arm(
    "baseline",
    {},
    (
        make_record((0.50, 0.60), train=(0.7, 0.80), loss=(1.0, 0.6), seed=0),
        make_record((0.50, 0.62), train=(0.7, 0.82), loss=(1.0, 0.5), seed=1),
        make_record((0.50, 0.64), train=(0.7, 0.84), loss=(1.0, 0.4), seed=2),
    ),
)
DROPOUT = Arm(
    "dropout",
    {"model.dropout": 0.3},
    (
        make_record((0.55, 0.61), train=(0.6, 0.79), loss=(0.5, 0.4), seed=0),
        make_record((0.55, 0.64), train=(0.6, 0.81), loss=(0.9, 0.5), seed=1),
        make_record((0.55, 0.67), train=(0.6, 0.83), loss=(0.9, 0.6), seed=2),
    ),
)


def judged(*arms: Arm, baseline: Arm = BASELINE, reach_loss: float | None = None) -> Ablation:
    found = compare(baseline, arms, reach_loss)
    assert found is not None
    return found


def test_the_interval_of_three_paired_differences_is_students() -> None:
    # Differences of 1, 2 and 3 points: mean 2, deviation 1, and t is 4.302653 with two degrees of freedom.
    found = paired_interval([0.01, 0.02, 0.03])
    half = 4.302653 * 0.01 / math.sqrt(3)
    assert found == pytest.approx((0.02 - half, 0.02 + half), abs=1e-8)


def test_a_change_by_hand() -> None:
    found = judged(DROPOUT)
    (row,) = found.rows
    assert (found.epoch, found.repeats, row.pairs, row.left_out) == (2, 3, 3, 0)
    assert row.validation is not None
    assert row.train is not None
    assert (row.validation.without, row.validation.with_) == pytest.approx((0.62, 0.64))
    assert row.validation.difference == pytest.approx(0.02)
    assert row.validation.ci95 == pytest.approx((-0.004841, 0.044841), abs=1e-6)
    assert (row.train.without, row.train.with_, row.train.difference) == pytest.approx((0.82, 0.81, -0.01))
    assert (found.baseline_train, found.baseline_validation) == pytest.approx((0.82, 0.62))
    assert [(change.key, change.without, change.with_) for change in row.changes] == [("model.dropout", 0.0, 0.3)]


def test_epochs_to_the_baselines_last_loss_are_counted_for_those_that_reach_it() -> None:
    found = judged(DROPOUT)
    assert found.reach_is_baseline
    assert found.reach_loss == pytest.approx(0.5)
    # Baseline: seeds 1 and 2 at epoch 2. Dropout: seed 0 at epoch 1, seed 1 at epoch 2.
    assert found.baseline_reach == Reach(2.0, 2, 3)
    assert found.rows[0].reach == Reach(1.5, 2, 3)


def test_a_loss_that_nobody_reaches_has_no_mean() -> None:
    found = judged(DROPOUT, reach_loss=0.1)
    assert not found.reach_is_baseline
    assert found.rows[0].reach == Reach(None, 0, 3)


def test_a_longer_arm_is_compared_at_the_last_epoch_that_all_have() -> None:
    longer = replace(DROPOUT, records=(make_record((0.55, 0.61, 0.99), loss=(0.9, 0.9, 0.1)), *DROPOUT.records[1:]))
    found = judged(longer)
    assert (found.epoch, found.longest) == (2, 3)
    assert found.rows[0].validation is not None
    assert found.rows[0].validation.with_ == pytest.approx(0.64)
    assert found.rows[0].reach == Reach(2.0, 1, 3)  # the loss of epoch 3 comes too late


@pytest.mark.parametrize("state", ["failed", "diverged"])
def test_a_pair_without_both_of_its_trials_is_left_out_and_counted(state: str) -> None:
    broken = replace(DROPOUT, records=(replace(DROPOUT.records[0], state=state), *DROPOUT.records[1:]))
    (row,) = judged(broken).rows
    assert (row.pairs, row.left_out) == (2, 1)
    assert row.validation is not None
    assert (row.validation.without, row.validation.difference) == pytest.approx((0.63, 0.025))
    assert row.reach.repeats == 2


def test_a_trial_that_diverged_early_does_not_shorten_the_comparison() -> None:
    early = replace(DROPOUT, records=(make_record((0.1,), "diverged"), *DROPOUT.records[1:]))
    assert judged(early).epoch == 2


def test_one_seed_gives_a_difference_without_an_interval() -> None:
    first = judged(
        replace(DROPOUT, records=DROPOUT.records[:1]), baseline=replace(BASELINE, records=BASELINE.records[:1])
    )
    assert first.rows[0].validation is not None
    assert first.rows[0].validation.difference == pytest.approx(0.01)
    assert first.rows[0].validation.ci95 is None


def test_an_arm_without_a_pair_has_no_figures() -> None:
    waiting = Arm("waiting", {}, tuple(make_record((), "waiting", seed=seed) for seed in range(3)))
    (row,) = judged(waiting).rows
    assert (row.train, row.validation, row.pairs, row.left_out) == (None, None, 0, 3)


def test_without_a_baseline_there_is_nothing_to_compare() -> None:
    assert compare(replace(BASELINE, records=(make_record((0.5,), "failed"),)), [DROPOUT]) is None


def test_the_arm_that_has_all_changes_is_known_as_such() -> None:
    smooth = replace(DROPOUT, name="smooth", changes={"optimizer.label_smoothing": 0.1})
    both = replace(DROPOUT, name="all", changes={**DROPOUT.changes, **smooth.changes})
    assert [row.together for row in judged(DROPOUT, smooth, both).rows] == [False, False, True]
