"""Which epoch of a trial is its best, and which trial comes first."""

from __future__ import annotations

from dataclasses import replace

from trainables.config.trial import TrialConfig
from trainables.metric import Metric
from trainables.results.record import ENDED, STATES, EpochResult, TrialRecord, TrialState, rank


def at(epoch: int, accuracy: float, loss: float = 1.0) -> EpochResult:
    return EpochResult(epoch, 2.0, 0.5, loss, accuracy, train_s=1.5, evaluate_s=0.25)


def record(seed: int, *epochs: EpochResult, state: TrialState = "finished") -> TrialRecord:
    return TrialRecord(TrialConfig(data_id="d", seed=seed), state, epochs=epochs)


def test_the_best_epoch_has_the_highest_validation_accuracy_whatever_its_loss() -> None:
    assert record(0, at(1, 0.7, 0.9), at(2, 0.9, 1.4), at(3, 0.8, 0.8)).best == at(2, 0.9, 1.4)


def test_of_equally_accurate_epochs_the_one_with_the_lower_loss_is_best() -> None:
    assert record(0, at(1, 0.9, 0.5), at(2, 0.9, 0.4), at(3, 0.9, 0.6)).best == at(2, 0.9, 0.4)


def test_of_equal_epochs_the_earlier_is_best() -> None:
    assert record(0, at(1, 0.8), at(2, 0.9), at(3, 0.9)).best == at(2, 0.9)


def test_a_trial_without_an_epoch_has_no_best() -> None:
    assert record(0).best is None


def test_an_epoch_keeps_its_slot_busy_with_training_and_prediction() -> None:
    assert at(1, 0.5).busy_s == 1.75


def test_trials_are_ranked_by_their_best_epochs_and_those_without_one_come_last() -> None:
    failed = record(1, state="failed")
    pruned = record(2, at(1, 0.9, 0.3), state="pruned")
    better_loss = record(3, at(1, 0.9, 0.2), at(2, 0.1))
    hopeless = record(4, at(1, 0.0, 9.0), state="diverged")
    best = record(5, at(1, 0.2), at(2, 0.95, 2.0))
    assert rank([failed, pruned, hopeless, best, better_loss]) == [best, better_loss, pruned, hopeless, failed]


def test_ties_are_ranked_by_trial_id_in_whatever_order_they_come() -> None:
    measured = [record(seed, at(1, 0.5)) for seed in range(5)]
    failed = [record(seed, state="failed") for seed in range(5, 9)]
    expected = [
        *sorted(measured, key=lambda one: one.config.trial_id),
        *sorted(failed, key=lambda one: one.config.trial_id),
    ]
    assert rank([*failed, *measured]) == expected
    assert rank([*measured[::-1], *failed[::-1]]) == expected


def test_a_record_goes_by_the_name_of_its_configuration() -> None:
    assert record(7).trial_id == TrialConfig(data_id="d", seed=7).trial_id != record(8).trial_id


def test_a_stopped_or_paused_trial_has_not_ended_for_good() -> None:
    assert set(STATES) - set(ENDED) == {"waiting", "running", "paused", "stopped"}


def measured(
    epoch: int, accuracy: float, score: float | None, metric: Metric = "balanced_accuracy", loss: float = 1.0
) -> EpochResult:
    return replace(at(epoch, accuracy, loss), metric=metric, validation_score=score)


def test_where_the_sweep_asks_for_a_metric_it_decides_which_epoch_and_which_trial_is_best() -> None:
    accurate = record(1, measured(1, 0.95, 0.5), measured(2, 0.9, 0.6))
    balanced = record(2, measured(1, 0.7, 0.7), measured(2, 0.8, 0.65))
    assert (accurate.best, balanced.best) == (accurate.epochs[1], balanced.epochs[0])
    assert rank([record(3), accurate, balanced]) == [balanced, accurate, record(3)]


def test_of_a_metric_whose_low_values_are_good_the_lowest_is_best() -> None:
    for metric in ("log_loss", "brier"):
        one = record(1, measured(1, 0.9, 0.4, metric), measured(2, 0.8, 0.2, metric), measured(3, 0.7, 0.3, metric))
        assert one.best == one.epochs[1]
        assert all(0 <= epoch.merit <= 1 for epoch in one.epochs)
    assert [epoch.shown_merit for epoch in (at(1, 0.9123), measured(1, 0.9, 0.4, "log_loss"))] == [
        "91.23%",
        "log-loss 0.4000",
    ]


def test_an_epoch_that_cannot_be_measured_is_the_last_of_its_trial() -> None:
    one = record(1, measured(1, 0.99, None), measured(2, 0.1, 0.0))
    assert one.best == one.epochs[1]
    assert one.epochs[0].shown_merit == "not measured"
    assert rank([record(2), record(3, measured(1, 0.99, None))])[0].epochs


def test_a_record_has_a_metric_only_where_there_is_one() -> None:
    assert "metric" not in at(1, 0.5).to_dict()
    assert set(measured(1, 0.5, 0.4).to_dict()) - set(at(1, 0.5).to_dict()) == {"metric", "validation_score"}
    assert EpochResult(**measured(1, 0.5, 0.4).to_dict()) == measured(1, 0.5, 0.4)
