"""An ablation by hand: three seeds, a change that helps, and trials that did not come through."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ensembles.analysis.ablation import Ablation, Arm, Reach, compare, paired_interval
from tests.ensembles.samples import make_record
from trainables.results.record import TrialRecord

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


def compared(*arms: Arm, baseline: Arm = BASELINE, reach_loss: float | None = None) -> Ablation:
    found = compare(baseline, arms, reach_loss)
    assert found is not None
    return found


def test_the_interval_of_three_paired_differences_is_students() -> None:
    # Differences of 1, 2 and 3 points: mean 2, deviation 1, and t is 4.302653 with two degrees of freedom.
    found = paired_interval([0.01, 0.02, 0.03])
    half = 4.302653 * 0.01 / math.sqrt(3)
    assert found == pytest.approx((0.02 - half, 0.02 + half), abs=1e-8)


def test_a_change_by_hand() -> None:
    found = compared(DROPOUT)
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
    found = compared(DROPOUT)
    assert found.reach_is_baseline
    assert found.reach_loss == pytest.approx(0.5)
    # Baseline: seeds 1 and 2 at epoch 2. Dropout: seed 0 at epoch 1, seed 1 at epoch 2.
    assert found.baseline_reach == Reach(2.0, 2, 3)
    assert found.rows[0].reach == Reach(1.5, 2, 3)


def test_a_loss_that_nobody_reaches_has_no_mean() -> None:
    found = compared(DROPOUT, reach_loss=0.1)
    assert not found.reach_is_baseline
    assert found.rows[0].reach == Reach(None, 0, 3)


def test_a_longer_arm_is_compared_at_the_last_epoch_that_all_have() -> None:
    longer = replace(DROPOUT, records=(make_record((0.55, 0.61, 0.99), loss=(0.9, 0.9, 0.1)), *DROPOUT.records[1:]))
    found = compared(longer)
    assert (found.epoch, found.longest) == (2, 3)
    assert found.rows[0].validation is not None
    assert found.rows[0].validation.with_ == pytest.approx(0.64)
    assert found.rows[0].reach == Reach(2.0, 1, 3)  # the loss of epoch 3 comes too late


@pytest.mark.parametrize("state", ["failed", "diverged"])
def test_a_pair_without_both_of_its_trials_is_left_out_and_counted(state: str) -> None:
    broken = replace(DROPOUT, records=(replace(DROPOUT.records[0], state=state), *DROPOUT.records[1:]))
    (row,) = compared(broken).rows
    assert (row.pairs, row.left_out) == (2, 1)
    assert row.validation is not None
    assert (row.validation.without, row.validation.difference) == pytest.approx((0.63, 0.025))
    assert row.reach.repeats == 2


def test_a_trial_that_diverged_early_does_not_shorten_the_comparison() -> None:
    early = replace(DROPOUT, records=(make_record((0.1,), "diverged"), *DROPOUT.records[1:]))
    assert compared(early).epoch == 2


def test_one_seed_gives_a_difference_without_an_interval() -> None:
    first = compared(
        replace(DROPOUT, records=DROPOUT.records[:1]), baseline=replace(BASELINE, records=BASELINE.records[:1])
    )
    assert first.rows[0].validation is not None
    assert first.rows[0].validation.difference == pytest.approx(0.01)
    assert first.rows[0].validation.ci95 is None


def test_an_arm_without_a_pair_has_no_figures() -> None:
    waiting = Arm("waiting", {}, tuple(make_record((), "waiting", seed=seed) for seed in range(3)))
    (row,) = compared(waiting).rows
    assert (row.train, row.validation, row.pairs, row.left_out) == (None, None, 0, 3)


def test_without_a_baseline_there_is_nothing_to_compare() -> None:
    assert compare(replace(BASELINE, records=(make_record((0.5,), "failed"),)), [DROPOUT]) is None


def test_the_arm_that_has_all_changes_is_known_as_such() -> None:
    smooth = replace(DROPOUT, name="smooth", changes={"optimizer.label_smoothing": 0.1})
    both = replace(DROPOUT, name="all", changes={**DROPOUT.changes, **smooth.changes})
    assert [row.together for row in compared(DROPOUT, smooth, both).rows] == [False, False, True]


def monitored(record: TrialRecord, *fits: float | None, losses: tuple[float, ...] = ()) -> TrialRecord:
    """`record` with these training accuracies in evaluation mode, and training losses, at its epochs."""
    figures = zip(record.epochs, fits, losses or [0.1] * len(fits), strict=True)
    return replace(record, epochs=tuple(replace(at, fit_accuracy=fit, train_loss=loss) for at, fit, loss in figures))


def many(*accuracies: float, seed: int = 0) -> TrialRecord:
    """A trial of ten epochs: all of these accuracies but the last two are of no account."""
    return make_record((0.1,) * (10 - len(accuracies)) + accuracies, train=(0.5,) * 10, seed=seed)


def test_levels_are_means_over_the_last_epochs_and_the_gap_is_one_of_evaluation_mode() -> None:
    baseline = Arm(
        "baseline",
        {},
        (
            monitored(many(0.70, 0.72, seed=0), *[0.2] * 8, 0.98, 1.00),
            monitored(many(0.74, 0.76, seed=1), *[0.2] * 8, 0.98, 1.00),
        ),
    )
    dropout = Arm(
        "dropout",
        {"model.dropout": 0.5},
        (
            monitored(many(0.74, 0.74, seed=0), *[0.2] * 8, 0.80, 0.82),
            monitored(many(0.76, 0.76, seed=1), *[0.2] * 8, 0.81, 0.83),
        ),
    )
    found = compared(dropout, baseline=baseline)
    plain, arm = found.levels
    assert (found.epoch, found.last_epochs) == (10, 2)
    assert [level.name for level in found.levels] == ["baseline", "dropout"]
    assert plain.fit is not None
    assert plain.gap is not None
    assert arm.gap is not None
    assert arm.gap_change is not None
    # Seeds end at 0.71 and 0.75 on validation, both at 0.99 on what they know: gaps of 28 and 24 points.
    assert (plain.fit.value, plain.validation.value, plain.gap.value) == pytest.approx((0.99, 0.73, 0.26))
    # Two values 4 points apart: their deviation over the root of two is 2 points, and t is 12.706205.
    assert plain.gap.ci95 == pytest.approx((0.26 - 12.706205 * 0.02, 0.26 + 12.706205 * 0.02), abs=1e-6)
    assert plain.train.value == pytest.approx(0.5)  # as seen, with dropout at work
    assert plain.gap_change is None
    # 7 and 6 points are left of them.
    assert arm.gap.value == pytest.approx(0.065)
    assert (arm.gap_change.without, arm.gap_change.difference) == pytest.approx((0.26, -0.195))


def test_epochs_to_the_baselines_last_training_loss_are_counted() -> None:
    baseline = replace(BASELINE, records=(monitored(BASELINE.records[0], None, None, losses=(0.5, 0.2)),))
    faster = replace(DROPOUT, records=(monitored(DROPOUT.records[0], None, None, losses=(0.2, 0.1)),))
    slower = replace(DROPOUT, name="slower", records=(monitored(DROPOUT.records[0], None, None, losses=(0.5, 0.3)),))
    found = compared(faster, slower, baseline=baseline)
    assert found.train_reach_loss == pytest.approx(0.2)
    assert [level.train_reach for level in found.levels] == [Reach(2.0, 1, 1), Reach(1.0, 1, 1), Reach(None, 0, 1)]


def test_without_a_measurement_in_evaluation_mode_there_is_no_gap() -> None:
    partly = replace(DROPOUT, records=(monitored(DROPOUT.records[0], 0.9, None), *DROPOUT.records[1:]))
    plain, arm = compared(partly).levels
    assert (plain.fit, plain.gap, arm.fit, arm.gap, arm.gap_change) == (None, None, None, None, None)
    assert plain.validation.value == pytest.approx(0.62)


def test_an_arm_that_failed_has_no_level() -> None:
    failed = Arm("failed", {}, tuple(make_record((), "failed", seed=seed) for seed in range(3)))
    assert [level.name for level in compared(failed, DROPOUT).levels] == ["baseline", "dropout"]
