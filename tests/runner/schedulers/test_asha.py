from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from runner.schedulers.asha import Asha


def tell(asha, trial_id, epoch, accuracy):
    """Record a result, and what it leads to."""
    asha.record(trial_id, epoch, accuracy)
    return asha.judge(trial_id)


def rungs(asha):
    return [milestone for milestone, _ in asha._rungs]


@pytest.mark.parametrize(
    ("max_epochs", "reduction", "grace_epochs", "expected"),
    [(27, 3, 1, [1, 3, 9, 27]), (9, 2, 1, [1, 2, 4, 8]), (20, 3, 2, [2, 6, 18]), (5, 3, 5, [5]), (1, 3, 1, [1])],
)
def test_rungs_rise_by_the_reduction_from_the_grace_epochs(max_epochs, reduction, grace_epochs, expected):
    assert rungs(Asha(max_epochs, reduction, grace_epochs)) == expected


def test_one_in_three_passes_a_rung():
    asha = Asha(27, reduction=3, grace_epochs=1)
    # (accuracy at epoch 1, verdict). The cut-off is the 66.7th percentile of what is on the rung, interpolated.
    table = [
        ("a", 0.50, None),  # alone
        ("b", 0.40, "pruned at rung 1, rank 2 of 2"),  # cut-off 0.467
        ("c", 0.60, None),  # 0.4 0.5 0.6: cut-off 0.533
        ("d", 0.53, None),  # 0.4 0.5 0.53 0.6: it is the cut-off
        ("e", 0.55, None),  # 0.4 0.5 0.53 0.55 0.6: cut-off 0.543
        ("f", 0.45, "pruned at rung 1, rank 5 of 6"),
    ]
    assert [(name, value, tell(asha, name, 1, value)) for name, value, _ in table] == table


def test_one_in_two_passes_a_rung():
    asha = Asha(8, reduction=2, grace_epochs=1)
    table = [
        ("a", 1, 0.5, None),
        ("b", 1, 0.4, "pruned at rung 1, rank 2 of 2"),  # median 0.45
        ("c", 1, 0.45, None),  # it is the median
        ("d", 1, 0.46, None),  # median 0.455
        ("e", 1, 0.3, "pruned at rung 1, rank 5 of 5"),
        ("a", 2, 0.6, None),
        ("c", 2, 0.5, "pruned at rung 2, rank 2 of 2"),
        ("d", 2, 0.7, None),
        ("d", 3, 0.1, None),  # epoch 3 is no rung; at its last rung it is still good
        ("d", 4, 0.2, None),
        ("a", 3, 0.9, None),  # 0.5 0.6 0.7: it is the median of rung 2
    ]
    assert [(name, at, value, tell(asha, name, at, value)) for name, at, value, _ in table] == table


def test_the_reason_names_rung_and_rank():
    asha = Asha(27, reduction=3, grace_epochs=1)
    for number, accuracy in enumerate((0.5, 0.6, 0.7, 0.8, 0.9, 0.55)):
        asha.record(f"t{number}", 3, accuracy)
    assert asha.judge("t5") == "pruned at rung 2, rank 5 of 6"


def test_equals_share_a_rank():
    asha = Asha(27, reduction=3, grace_epochs=1)
    for name, accuracy in (("a", 0.9), ("b", 0.9), ("c", 0.5), ("d", 0.5)):
        asha.record(name, 1, accuracy)
    assert asha.judge("c") == asha.judge("d") == "pruned at rung 1, rank 3 of 4"


@pytest.mark.parametrize("accuracy", [0.1, 1 / 3, 0.7, 0.0, 1.0])
@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_trials_that_are_all_equal_all_pass(accuracy, reduction):
    asha = Asha(9, reduction, grace_epochs=1)
    assert [tell(asha, str(number), 1, accuracy) for number in range(12)] == [None] * 12


@pytest.mark.parametrize("reduction", [2, 3, 4, 6, 7])
def test_who_is_exactly_at_the_cut_off_passes_however_many_there_are(reduction):
    for best in range(1, 25):
        asha = Asha(9, reduction, grace_epochs=1)
        count = best * reduction + 1  # then the cut-off is an accuracy on the rung, not one between two
        for place in range(count):
            asha.record(str(place), 1, (count - place) / (count + 1))
        assert [asha.judge(str(place)) is None for place in range(count)] == [place <= best for place in range(count)]


def test_the_first_at_a_rung_is_pruned_later_when_others_beat_it():
    asha = Asha(27, reduction=3, grace_epochs=1)
    assert tell(asha, "first", 1, 0.3) is None
    assert tell(asha, "b", 1, 0.6) is None
    assert tell(asha, "c", 1, 0.7) is None
    assert tell(asha, "first", 2, 0.9) == "pruned at rung 1, rank 3 of 3"


def test_a_trial_is_judged_by_the_last_rung_that_it_reached_alone():
    asha = Asha(27, reduction=3, grace_epochs=1)
    for epoch in (1, 2, 3):
        assert tell(asha, "slow", epoch, 0.3) is None
    asha.record("b", 1, 0.6)
    asha.record("c", 1, 0.7)
    assert asha.judge("slow") is None


def test_nothing_is_said_of_a_trial_before_its_first_rung():
    asha = Asha(27, reduction=3, grace_epochs=3)
    for name in "abc":
        asha.record(name, 3, 0.9)
    assert tell(asha, "late", 1, 0.0) is None
    assert tell(asha, "late", 2, 0.0) is None
    assert tell(asha, "late", 3, 0.0) == "pruned at rung 1, rank 4 of 4"


# A trial is a list of accuracies, one an epoch; an interleaving is the order in which trials tell their next epoch.
trials = st.lists(
    st.lists(st.integers(0, 8).map(lambda tenths: tenths / 8), min_size=9, max_size=9), min_size=1, max_size=8
)


@settings(max_examples=80, deadline=None)
@given(trials, st.lists(st.integers(0, 7), max_size=60), st.integers(0, 60), st.sampled_from([2, 3]))
def test_a_driver_that_is_replaced_decides_as_if_it_had_not_been(accuracies, order, replaced_at, reduction):
    def run(replaced_at):
        asha = Asha(9, reduction, grace_epochs=1)
        record, decisions, epochs, over = [], [], [0] * len(accuracies), set()
        for turn, number in enumerate(order):
            if turn == replaced_at:
                asha = Asha(9, reduction, grace_epochs=1)
                for told in record:
                    asha.record(*told)
            number %= len(accuracies)
            if number in over or epochs[number] == 9:
                continue
            epochs[number] += 1
            record.append((f"t{number}", epochs[number], accuracies[number][epochs[number] - 1]))
            decisions.append(tell(asha, *record[-1]))
            if decisions[-1]:
                over.add(number)
        return decisions

    undisturbed = run(None)
    assert undisturbed == run(None)
    assert undisturbed == run(min(replaced_at, len(order)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([2, 3, 4]))
def test_the_best_at_a_rung_always_passes(accuracies, reduction):
    asha = Asha(9, reduction, grace_epochs=1)
    for number, accuracy in enumerate(accuracies):
        asha.record(str(number), 1, accuracy)
    assert asha.judge(str(accuracies.index(max(accuracies)))) is None


def test_tune_can_use_it_by_itself():
    asha = Asha(3, reduction=3, grace_epochs=1)
    assert asha.metric == "validation_accuracy"
    a, b = SimpleNamespace(trial_id="x1"), SimpleNamespace(trial_id="x2")
    asha.on_trial_add(None, a)
    asha.on_trial_add(None, b)

    def tell_tune(trial, epoch, accuracy):
        return asha.on_trial_result(None, trial, {"epoch": epoch, "validation_accuracy": accuracy})

    assert tell_tune(a, 1, 0.8) == TrialScheduler.CONTINUE
    assert tell_tune(b, 1, 0.5) == TrialScheduler.STOP
    asha.on_trial_remove(None, b)
    assert asha.judge("x2") == "pruned at rung 1, rank 2 of 2"
    assert tell_tune(a, 2, 0.8) == TrialScheduler.CONTINUE
    assert tell_tune(a, 3, 0.8) == TrialScheduler.STOP
    asha.on_trial_complete(None, a, {"epoch": 3, "validation_accuracy": 0.8})
    asha.on_trial_remove(None, a)
