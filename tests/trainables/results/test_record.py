"""Which epoch of a trial is its best, and which trial comes first."""

from __future__ import annotations

from trainables.config.trial import TrialConfig
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
