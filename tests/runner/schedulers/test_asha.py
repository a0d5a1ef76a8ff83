import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.schedulers.asha import Asha


def reason(asha, trial_id):
    """Why the trial is pruned, None if it goes on."""
    decision = asha.decide(trial_id)
    if decision is None:
        return None
    assert decision.state == "pruned"
    return decision.reason


def report(asha, trial_id, epoch, accuracy):
    """Record a result, and what it leads to."""
    asha.record(trial_id, epoch, accuracy)
    return reason(asha, trial_id)


@pytest.mark.parametrize(
    ("max_epochs", "reduction", "grace_epochs", "expected"),
    [(27, 3, 1, [1, 3, 9, 27]), (9, 2, 1, [1, 2, 4, 8]), (20, 3, 2, [2, 6, 18]), (5, 3, 5, [5]), (1, 3, 1, [1])],
)
def test_rungs_rise_by_the_reduction_from_the_grace_epochs(max_epochs, reduction, grace_epochs, expected):
    assert Asha(max_epochs, reduction, grace_epochs).rungs == [expected]


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
    assert [(name, value, report(asha, name, 1, value)) for name, value, _ in table] == table


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
    assert [(name, at, value, report(asha, name, at, value)) for name, at, value, _ in table] == table


def test_the_reason_names_rung_and_rank():
    asha = Asha(27, reduction=3, grace_epochs=1)
    for number, accuracy in enumerate((0.5, 0.6, 0.7, 0.8, 0.9, 0.55)):
        asha.record(f"t{number}", 3, accuracy)
    assert reason(asha, "t5") == "pruned at rung 2, rank 5 of 6"


def test_equals_share_a_rank():
    asha = Asha(27, reduction=3, grace_epochs=1)
    for name, accuracy in (("a", 0.9), ("b", 0.9), ("c", 0.5), ("d", 0.5)):
        asha.record(name, 1, accuracy)
    assert reason(asha, "c") == reason(asha, "d") == "pruned at rung 1, rank 3 of 4"


@pytest.mark.parametrize("accuracy", [0.1, 1 / 3, 0.7, 0.0, 1.0])
@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_trials_that_are_all_equal_all_pass(accuracy, reduction):
    asha = Asha(9, reduction, grace_epochs=1)
    assert [report(asha, str(number), 1, accuracy) for number in range(12)] == [None] * 12


@pytest.mark.parametrize("reduction", [2, 3, 4, 6, 7])
def test_who_is_exactly_at_the_cut_off_passes_however_many_there_are(reduction):
    for best in range(1, 25):
        asha = Asha(9, reduction, grace_epochs=1)
        count = best * reduction + 1  # then the cut-off is an accuracy on the rung, not one between two
        for place in range(count):
            asha.record(str(place), 1, (count - place) / (count + 1))
        assert [asha.decide(str(place)) is None for place in range(count)] == [place <= best for place in range(count)]


def test_the_first_at_a_rung_is_pruned_later_when_others_beat_it():
    asha = Asha(27, reduction=3, grace_epochs=1)
    assert report(asha, "first", 1, 0.3) is None
    assert report(asha, "b", 1, 0.6) is None
    assert report(asha, "c", 1, 0.7) is None
    assert report(asha, "first", 2, 0.9) == "pruned at rung 1, rank 3 of 3"


def test_only_the_last_rung_that_a_trial_reached_decides():
    asha = Asha(27, reduction=3, grace_epochs=1)
    for epoch in (1, 2, 3):
        assert report(asha, "slow", epoch, 0.3) is None
    asha.record("b", 1, 0.6)
    asha.record("c", 1, 0.7)
    assert asha.decide("slow") is None


def test_nothing_is_said_of_a_trial_before_its_first_rung():
    asha = Asha(27, reduction=3, grace_epochs=3)
    for name in "abc":
        asha.record(name, 3, 0.9)
    assert report(asha, "late", 1, 0.0) is None
    assert report(asha, "late", 2, 0.0) is None
    assert report(asha, "late", 3, 0.0) == "pruned at rung 1, rank 4 of 4"


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
                for result in record:
                    asha.record(*result)
            number %= len(accuracies)
            if number in over or epochs[number] == 9:
                continue
            epochs[number] += 1
            record.append((f"t{number}", epochs[number], accuracies[number][epochs[number] - 1]))
            decisions.append(report(asha, *record[-1]))
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
    assert asha.decide(str(accuracies.index(max(accuracies)))) is None


def test_the_brackets_meet_their_first_rung_ever_later():
    assert Asha(27, reduction=3, grace_epochs=1, brackets=3).rungs == [[1, 3, 9, 27], [3, 9, 27], [9, 27]]


@pytest.mark.parametrize(
    ("max_epochs", "grace_epochs", "brackets", "names"),
    [
        (27, 1, 4, "brackets is 4.* max_epochs, which is 27 .grace_epochs is 1, reduction is 3.*lower brackets"),
        (20, 2, 4, "brackets is 4.* max_epochs, which is 20 .grace_epochs is 2"),
        (27, 1, 0, "brackets is 0.*1 or more"),
    ],
)
def test_a_bracket_that_could_stop_nothing_is_refused(max_epochs, grace_epochs, brackets, names):
    with pytest.raises(ValueError, match=names):
        Asha(max_epochs, 3, grace_epochs, brackets)


def test_a_bracket_is_as_likely_as_its_rungs_are_many_and_the_same_after_a_restart():
    names = [f"t{number}" for number in range(3000)]
    drawn = [Asha(27, 3, 1, brackets=3, seed=5).bracket_of(name) for name in names[:50]]
    asha = Asha(27, 3, 1, brackets=3, seed=5)
    asha.add("another")
    assert [asha.bracket_of(name) for name in names[:50]] == drawn
    counts = Counter(map(asha.bracket_of, names))
    # 4, 3 and 2 rungs: 1, e**-1 and e**-2 by 1.5032
    for bracket, share in ((0, 0.6652), (1, 0.2447), (2, 0.0900)):
        spread = math.sqrt(share * (1 - share) / len(names))
        assert abs(counts[bracket] / len(names) - share) < 4 * spread
    assert [Asha(27, 3, 1, brackets=3, seed=6).bracket_of(name) for name in names[:50]] != drawn


def test_a_trial_is_compared_to_those_of_its_bracket_alone():
    asha = Asha(27, reduction=3, grace_epochs=1, brackets=2)
    names = [f"t{number}" for number in range(40)]
    early, late = ([name for name in names if asha.bracket_of(name) == bracket] for bracket in (0, 1))
    asha.record(early[0], 1, 0.9)
    assert report(asha, late[0], 1, 0.1) is None
    asha.record(early[0], 3, 0.9)
    asha.record(early[1], 3, 0.95)
    assert report(asha, late[0], 3, 0.1) is None
    asha.record(late[1], 3, 0.2)
    assert reason(asha, late[0]) == "pruned at rung 1 of bracket 1, rank 2 of 2"
    assert reason(asha, early[0]) == "pruned at rung 2 of bracket 0, rank 2 of 2"


def test_a_trial_that_began_after_a_rung_is_not_put_on_it():
    asha = Asha(27, reduction=3, grace_epochs=1)
    asha.record("a", 1, 0.5)
    asha.record("child", 2, 0.9)
    assert reason(asha, "a") is None
    assert report(asha, "child", 3, 0.1) is None


def test_an_accuracy_that_is_no_number_never_passes():
    asha = Asha(27, reduction=3, grace_epochs=1)
    assert report(asha, "a", 1, math.nan) == "pruned at rung 1, rank 1 of 1: its validation accuracy is not a number"
    assert report(asha, "b", 1, 0.1) is None
    assert reason(asha, "a") == "pruned at rung 1, rank 2 of 2: its validation accuracy is not a number"
