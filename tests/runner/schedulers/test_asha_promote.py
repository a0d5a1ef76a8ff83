import math

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.schedulers.asha_promote import PromotingAsha


def come(scheduler, trial_id, epoch, accuracy):
    """A trial reports, and pauses or ends if the scheduler says so."""
    scheduler.record(trial_id, epoch, accuracy)
    decision = scheduler.decide(trial_id)
    if decision is None:
        return None
    (scheduler.pause if decision.state == "paused" else scheduler.end)(trial_id)
    return decision.reason


def started(trials, max_epochs=27, reduction=3, grace_epochs=1):
    scheduler = PromotingAsha(max_epochs, reduction, grace_epochs)
    for trial_id in trials:
        scheduler.add(trial_id)
    return scheduler


def promote(scheduler):
    promoted = scheduler.promote()
    if promoted:
        scheduler.resume(promoted[0])
    return promoted


def test_every_trial_pauses_at_a_rung_unless_it_is_among_the_best_there():
    scheduler = started("abcdef")
    table = [
        ("a", 0.5, "waits at rung 1, rank 1 of 1"),  # floor(1 / 3) go on: none
        ("b", 0.6, "waits at rung 1, rank 1 of 2"),
        ("c", 0.7, None),  # the best one of three: goes on without a pause
        ("d", 0.4, "waits at rung 1, rank 4 of 4"),
        ("e", 0.8, None),  # the best one of five, as if c had not gone on before
        ("f", 0.1, "waits at rung 1, rank 6 of 6"),  # two of six: they went on already
    ]
    assert [(name, accuracy, come(scheduler, name, 1, accuracy)) for name, accuracy, _ in table] == table
    assert scheduler.promote() is None


def test_the_best_that_waits_is_promoted_once_the_rung_has_enough():
    scheduler = started("abcdef")
    for name, accuracy in (("a", 0.5), ("b", 0.9)):
        come(scheduler, name, 1, accuracy)
    assert scheduler.promote() is None
    come(scheduler, "c", 1, 0.6)
    assert promote(scheduler) == ("b", "promoted from rung 1, rank 1 of 3")
    assert scheduler.promote() is None
    for name in "de":
        come(scheduler, name, 1, 0.1)
    assert scheduler.promote() is None
    come(scheduler, "f", 1, 0.1)
    assert promote(scheduler) == ("c", "promoted from rung 1, rank 2 of 6")
    assert scheduler.promote() is None


def test_the_highest_rung_comes_first():
    scheduler = started("abcdefg", reduction=2)
    for name, accuracy in (("a", 0.9), ("b", 0.8), ("c", 0.7), ("d", 0.6)):
        come(scheduler, name, 1, accuracy)
    assert promote(scheduler)[0] == "a"
    assert promote(scheduler)[0] == "b"
    come(scheduler, "a", 2, 0.9)
    come(scheduler, "e", 1, 0.5)
    come(scheduler, "f", 1, 0.5)  # now three of rung 1 may go on
    come(scheduler, "b", 2, 0.1)  # now one of rung 2 may
    assert promote(scheduler) == ("a", "promoted from rung 2, rank 1 of 2")
    assert promote(scheduler) == ("c", "promoted from rung 1, rank 3 of 6")
    assert scheduler.promote() is None


def test_of_equals_the_first_to_come_is_promoted():
    scheduler = started("abcd", reduction=2)
    for name in "dcba":
        come(scheduler, name, 1, 0.5)
    assert [promote(scheduler), promote(scheduler), promote(scheduler)] == [
        ("d", "promoted from rung 1, rank 1 of 4"),
        ("c", "promoted from rung 1, rank 1 of 4"),
        None,
    ]


def test_a_trial_that_ended_keeps_its_place_but_is_not_promoted():
    scheduler = started("abcd")
    for name, accuracy in (("a", 0.9), ("b", 0.5)):
        come(scheduler, name, 1, accuracy)
    scheduler.end("a")
    come(scheduler, "c", 1, 0.1)
    assert scheduler.promote() is None
    assert come(scheduler, "d", 1, 0.7) == "waits at rung 1, rank 2 of 4"


def test_an_accuracy_that_is_no_number_counts_as_one_more_and_is_never_promoted():
    scheduler = started("abc")
    nan = "its validation accuracy is not a number"
    assert come(scheduler, "a", 1, math.nan) == f"pruned at rung 1, rank 1 of 1: {nan}"
    assert come(scheduler, "b", 1, math.nan) == f"pruned at rung 1, rank 1 of 2: {nan}"
    assert come(scheduler, "c", 1, 0.1) is None


def test_nothing_is_settled_while_others_may_come():
    scheduler = started("abc")
    for name in "abc":
        come(scheduler, name, 1, 0.5)
    assert scheduler.resolve_paused() == []
    scheduler.close()
    assert scheduler.resolve_paused() == []  # one may be promoted
    assert promote(scheduler)[0] == "a"
    assert scheduler.resolve_paused() == []  # and may yet make others of its next rung go on
    assert come(scheduler, "a", 3, 0.6) == "waits at rung 2, rank 1 of 1"
    assert promote(scheduler) == ("a", "promoted from rung 2, rank 1 of 1: nothing more will come")
    assert come(scheduler, "a", 9, 0.7) == "waits at rung 3, rank 1 of 1"
    assert promote(scheduler) == ("a", "promoted from rung 3, rank 1 of 1: nothing more will come")
    scheduler.record("a", 27, 0.8)
    scheduler.end("a")
    assert scheduler.promote() is None
    pruned = [("b", "pruned at rung 1, rank 1 of 3"), ("c", "pruned at rung 1, rank 1 of 3")]
    assert scheduler.resolve_paused() == pruned
    for name, _ in pruned:
        scheduler.end(name)
    assert scheduler.resolve_paused() == []


def test_where_the_last_one_that_was_promoted_diverges_no_other_takes_its_place():
    scheduler = started("ab")
    come(scheduler, "a", 1, 0.7)
    come(scheduler, "b", 1, 0.6)
    scheduler.close()
    assert promote(scheduler) == ("a", "promoted from rung 1, rank 1 of 2: nothing more will come")
    scheduler.end("a")
    assert scheduler.promote() is None
    assert scheduler.resolve_paused() == [("b", "pruned at rung 1, rank 2 of 2")]


def test_what_waits_may_still_be_promoted_where_more_trials_come_after_all():
    scheduler = started("ab")
    come(scheduler, "a", 1, 0.5)
    come(scheduler, "b", 1, 0.6)
    scheduler.close()
    assert scheduler.promote() == ("b", "promoted from rung 1, rank 1 of 2: nothing more will come")
    scheduler.add("c")
    assert scheduler.promote() is None
    assert scheduler.resolve_paused() == []
    come(scheduler, "c", 1, 0.1)
    assert promote(scheduler) == ("b", "promoted from rung 1, rank 1 of 3")


def test_a_trial_that_an_earlier_stage_trained_past_a_rung_counts_as_promoted_there():
    scheduler = started("ab")
    for epoch in (1, 2, 3, 4):
        scheduler.record("a", epoch, 0.5)
    assert scheduler.decide("a").reason == "waits at rung 2, rank 1 of 1"
    scheduler.pause("a")
    come(scheduler, "b", 1, 0.1)
    scheduler.close()
    assert promote(scheduler) == ("a", "promoted from rung 2, rank 1 of 1: nothing more will come")
    scheduler.end("a")
    assert scheduler.resolve_paused() == [("b", "pruned at rung 1, rank 2 of 2")]


def test_where_the_first_rung_is_the_last_epoch_nobody_pauses():
    scheduler = started("ab", max_epochs=5, grace_epochs=5)
    assert [come(scheduler, name, epoch, 0.1) for name in "ab" for epoch in (1, 5)] == [None] * 4
    scheduler.close()
    assert (scheduler.promote(), scheduler.resolve_paused()) == (None, [])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5).map(lambda fifths: fifths / 5), max_size=40), st.integers(2, 4))
def test_the_trials_that_continue_are_those_of_the_paper(accuracies, reduction):
    """Algorithm 2 written out, for one rung: after each arrival promote while the best floor(n / reduction) hold any."""
    scheduler = started([], max_epochs=reduction, reduction=reduction)
    expected, promoted, arrived = set(), set(), []
    for number, accuracy in enumerate(accuracies):
        name = f"t{number}"
        scheduler.add(name)
        if come(scheduler, name, 1, accuracy) is None:
            promoted.add(name)
        while moved := promote(scheduler):
            promoted.add(moved[0])
        arrived.append((-accuracy, number, name))
        expected |= {name for _, _, name in sorted(arrived)[: len(arrived) // reduction]}
        assert promoted == expected


def test_one_in_three_of_many_reaches_each_rung():
    names = [f"t{number}" for number in range(81)]
    scheduler = started(names)
    reached = {1: 0, 3: 0, 9: 0, 27: 0}

    def train(name, accuracy, at):
        for epoch in (epoch for epoch in reached if epoch > at):
            reached[epoch] += 1
            if epoch == 27:
                scheduler.record(name, epoch, accuracy)
                scheduler.end(name)
            elif come(scheduler, name, epoch, accuracy):
                return epoch
        return 27

    # The best come first, so that nobody is let go on who would not be in the end.
    accuracy_of = {name: 1 - number / 100 for number, name in enumerate(names)}
    at = {name: train(name, accuracy_of[name], 0) for name in names}
    while promoted := promote(scheduler):
        at[promoted[0]] = train(promoted[0], accuracy_of[promoted[0]], at[promoted[0]])
    assert reached == {1: 81, 3: 27, 9: 9, 27: 3}
