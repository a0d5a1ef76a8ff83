import math

import pytest

from runner.schedulers.early_stopping import Patience


def stopped_at(losses, epochs, smoothing=0.5, first=1):
    """The epoch at which a trial with these losses is stopped, and why; None if it never is."""
    patience = Patience(epochs, smoothing)
    for epoch, loss in enumerate(losses, start=first):
        patience.record("a", epoch, loss)
        if decision := patience.decide("a"):
            assert decision == patience.decide("a")
            assert decision.state == "finished"
            return epoch, decision.reason
    return None


FALLING = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]


def best(epoch, ago):
    return f"stopped early: the smoothed validation loss was best at epoch {epoch}, {ago} epoch{'s' * (ago > 1)} ago"


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 0.9])
def test_a_loss_that_falls_is_never_stopped(smoothing):
    assert stopped_at(FALLING, epochs=1, smoothing=smoothing) is None


def test_a_loss_that_rises_is_stopped_after_its_patience():
    # Medians from epoch 3 on: .9 .8 .7 .7 .8 .9 1; without smoothing the best is at epoch 5, and equal at 6.
    losses = [1.0, 0.9, 0.8, 0.7, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    assert stopped_at(losses, epochs=4, smoothing=0.0) == (9, best(5, 4))
    assert stopped_at(losses, epochs=1, smoothing=0.0) == (6, best(5, 1))


def test_the_smoothed_loss_is_weighed_by_hand():
    # Medians .9 .8 .7 .7 .8 .9 1.0 from epoch 3 on. m: .45 .625 .6625 .68125 .740625; by 1 - .5**t: .9 .8333 .7571 .7267
    # .7645: the best is at epoch 6.
    losses = [1.0, 0.9, 0.8, 0.7, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    assert stopped_at(losses, epochs=3) == (9, best(6, 3))


@pytest.mark.parametrize("height", [0.75, 5.0, 1e6, math.inf, math.nan])
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@pytest.mark.parametrize("at", range(9))
def test_one_bad_epoch_does_not_stop_a_trial_with_two_epochs_of_patience(at, smoothing, height):
    losses = [*FALLING[:at], height, *FALLING[at + 1 :]]
    assert stopped_at(losses, epochs=2, smoothing=smoothing) is None


def test_a_plain_average_would_carry_a_tenfold_loss_for_six_epochs():
    average, without_best = 0.3, 0
    for loss in (3.0, *[0.28] * 20):
        average = (average + loss) / 2
        without_best += average >= 0.3
    assert without_best == 6 + 1
    assert stopped_at([0.3] * 5 + [3.0] + [0.28] * 3, epochs=5) is None


def test_one_lucky_epoch_is_not_the_best_for_ever():
    assert stopped_at([0.9, 0.88, 0.1, 0.86, 0.84, 0.82, 0.8, 0.78, 0.76], epochs=3) is None


def test_a_loss_that_stays_level_is_stopped():
    assert stopped_at([0.5] * 10, epochs=5) == (8, best(3, 5))
    falls_then_stays = stopped_at([2.0, 1.0, *[0.5] * 60], epochs=5)
    assert falls_then_stays is not None
    assert falls_then_stays[0] <= 18


def test_a_slow_fall_that_adds_up_is_an_improvement():
    assert stopped_at([0.3 - 0.0002 * epoch for epoch in range(100)], epochs=5) is None


def test_a_loss_that_is_no_number_is_never_the_best():
    assert stopped_at([math.nan] * 9, epochs=4) == (5, "stopped early: the validation loss is not a number")
    # Medians: 0.4 and, with one NaN, 0.4 again.
    assert stopped_at([0.5, 0.4, 0.3, *[math.nan] * 9], epochs=3) == (6, best(3, 3))


def test_nothing_is_said_before_three_losses_wherever_they_begin():
    assert stopped_at([0.5, 0.6], epochs=1) is None
    assert stopped_at([0.5, 0.6, 0.7, 0.8], epochs=1, first=11) == (14, best(13, 1))
    assert Patience(1).decide("unknown") is None


def test_trials_do_not_touch_each_other_and_the_record_rebuilds_them():
    losses = {"a": FALLING, "b": [0.5] * 9}

    def after(epochs):
        patience = Patience(4)
        for epoch in range(epochs):
            for name in losses:
                patience.record(name, epoch + 1, losses[name][epoch])
        return patience.decide("a"), patience.decide("b")

    assert [after(epochs) for epochs in (6, 7)] == [after(epochs) for epochs in (6, 7)]
    assert after(6) == (None, None)
    assert after(7)[0] is None
    assert after(7)[1].reason == best(3, 4)
