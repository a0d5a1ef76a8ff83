import math

import pytest

from runner.schedulers.hyperband import HyperBand


def come(scheduler, trial_id, epoch, accuracy):
    """A trial reports, and pauses or ends if the scheduler says so."""
    scheduler.record(trial_id, epoch, accuracy)
    decision = scheduler.decide(trial_id)
    if decision is None:
        return None
    (scheduler.pause if decision.state == "paused" else scheduler.end)(trial_id)
    return decision.reason


def started(count, max_epochs=9, reduction=3, grace_epochs=1):
    scheduler = HyperBand(max_epochs, reduction, grace_epochs)
    names = [f"t{number}" for number in range(count)]
    for name in names:
        scheduler.add(name)
    return scheduler, names


def promote_all(scheduler):
    promoted = []
    while answer := scheduler.promote():
        promoted.append(answer)
        scheduler.resume(answer[0])
    return promoted


def brackets(max_epochs, reduction, grace_epochs, count):
    """Trials and rungs of the brackets that `count` trials fill."""
    scheduler, names = started(count, max_epochs, reduction, grace_epochs)
    found = {}
    for name in names:
        bracket = scheduler._places[name].bracket
        found[id(bracket)] = (bracket.expected[0], bracket.epochs)
    return list(found.values())


def test_the_brackets_are_those_of_the_papers_table():
    # Li et al. 2018, table 1: R = 81, eta = 3.
    table = [(81, [1, 3, 9, 27]), (34, [3, 9, 27]), (15, [9, 27]), (8, [27]), (5, [])]
    assert brackets(81, 3, 1, 81 + 34 + 15 + 8 + 5 + 82) == [*table, (81, [1, 3, 9, 27]), (1, [3, 9, 27])]


@pytest.mark.parametrize(
    ("max_epochs", "reduction", "grace_epochs", "expected"),
    [
        (20, 3, 2, [(9, [2, 6]), (5, [6]), (3, [])]),  # rounded down from 2.2 and 6.7
        (9, 2, 1, [(8, [1, 2, 4]), (6, [2, 4]), (4, [4]), (4, [])]),
        (9, 3, 2, [(3, [3]), (2, [])]),
        (5, 3, 5, [(1, [])]),
    ],
)
def test_the_first_rung_is_not_before_the_grace_epochs(max_epochs, reduction, grace_epochs, expected):
    assert brackets(max_epochs, reduction, grace_epochs, sum(size for size, _ in expected)) == expected


def test_a_rung_waits_until_all_have_come_and_then_the_best_go_on():
    scheduler, names = started(9)  # bracket 0 of 9 epochs: 9 trials at epoch 1, 3 at epoch 3, 1 to the end
    answer = [come(scheduler, name, 1, number / 10) for number, name in enumerate(names[:8])]
    assert answer == [f"waits at rung 1 of bracket 0, rank 1 of {come_by}" for come_by in range(1, 9)]
    assert scheduler.promote() is None
    assert scheduler.resolve_paused() == []
    assert come(scheduler, "t8", 1, 0.05) == "pruned at rung 1 of bracket 0, rank 8 of 9"
    assert scheduler.resolve_paused() == [
        ("t4", "pruned at rung 1 of bracket 0, rank 4 of 9"),
        ("t3", "pruned at rung 1 of bracket 0, rank 5 of 9"),
        ("t2", "pruned at rung 1 of bracket 0, rank 6 of 9"),
        ("t1", "pruned at rung 1 of bracket 0, rank 7 of 9"),
        ("t0", "pruned at rung 1 of bracket 0, rank 9 of 9"),
    ]
    for name, _ in scheduler.resolve_paused():
        scheduler.end(name)
    assert scheduler.resolve_paused() == []
    assert promote_all(scheduler) == [
        ("t7", "promoted from rung 1 of bracket 0, rank 1 of 9"),
        ("t6", "promoted from rung 1 of bracket 0, rank 2 of 9"),
        ("t5", "promoted from rung 1 of bracket 0, rank 3 of 9"),
    ]
    assert come(scheduler, "t5", 3, 0.9) == "waits at rung 2 of bracket 0, rank 1 of 1"
    assert come(scheduler, "t6", 3, 0.8) == "waits at rung 2 of bracket 0, rank 2 of 2"
    assert come(scheduler, "t7", 3, 0.7) == "pruned at rung 2 of bracket 0, rank 3 of 3"
    assert scheduler.resolve_paused() == [("t6", "pruned at rung 2 of bracket 0, rank 2 of 3")]
    assert promote_all(scheduler) == [("t5", "promoted from rung 2 of bracket 0, rank 1 of 3")]
    assert come(scheduler, "t5", 9, 0.1) is None


def test_a_trial_that_comes_last_and_is_among_the_best_continues_without_a_pause():
    scheduler, names = started(9)
    for name in names[:8]:
        come(scheduler, name, 1, 0.5)
    assert come(scheduler, "t8", 1, 0.6) is None
    assert [name for name, _ in promote_all(scheduler)] == ["t0", "t1"]  # of equals, who came first


def test_a_trial_that_ended_early_has_come_and_is_the_worst():
    scheduler, names = started(9)
    scheduler.end("t0")  # diverged
    for name in names[1:8]:
        come(scheduler, name, 1, 0.5)
    scheduler.end("t8")
    assert [name for name, _ in promote_all(scheduler)] == ["t1", "t2", "t3"]
    assert scheduler.resolve_paused()[0] == ("t4", "pruned at rung 1 of bracket 0, rank 1 of 9")
    come(scheduler, "t1", 3, 0.1)
    scheduler.end("t2")
    scheduler.end("t2")
    scheduler.end("t3")
    assert promote_all(scheduler) == [("t1", "promoted from rung 2 of bracket 0, rank 1 of 3")]


def test_a_trial_that_stopped_early_at_its_rung_leaves_its_place_to_the_next():
    scheduler, names = started(9)
    scheduler.record("t0", 1, 0.9)
    scheduler.end("t0")  # its patience ran out
    for number, name in enumerate(names[1:], start=1):
        come(scheduler, name, 1, number / 100)
    assert [name for name, _ in promote_all(scheduler)] == ["t7", "t6"]
    assert scheduler.decide("t8") is None


def test_an_accuracy_that_is_no_number_is_pruned_at_once_and_ranks_last():
    scheduler, names = started(9)
    answer = come(scheduler, "t0", 1, math.nan)
    assert answer == "pruned at rung 1 of bracket 0, rank 1 of 1: its validation accuracy is not a number"
    for name in names[1:8]:
        come(scheduler, name, 1, 0.5)
    assert come(scheduler, "t8", 1, 0.1) == "pruned at rung 1 of bracket 0, rank 8 of 9"


def test_a_bracket_of_trials_that_all_ended_lets_the_next_ones_be():
    scheduler, names = started(14)
    for name in names[:9]:
        scheduler.end(name)
    assert (scheduler.promote(), scheduler.resolve_paused()) == (None, [])
    for name in names[9:]:
        come(scheduler, name, 3, 0.5)
    assert [name for name, _ in promote_all(scheduler)] == ["t9"]


def test_a_bracket_that_does_not_fill_up_is_halved_at_the_close():
    scheduler, names = started(4)
    for number, name in enumerate(names):
        come(scheduler, name, 1, number / 10)
    assert scheduler.promote() is None
    scheduler.close()
    assert [name for name, _ in scheduler.resolve_paused()] == ["t2", "t1", "t0"]
    assert promote_all(scheduler) == [("t3", "promoted from rung 1 of bracket 0, rank 1 of 4")]
    assert come(scheduler, "t3", 3, 0.5) is None  # alone at rung 2: it is the best there
    scheduler.add("more")
    assert come(scheduler, "more", 1, 0.1) is None  # in the next bracket, which has its first rung at epoch 3
    assert come(scheduler, "more", 3, 0.1) == "waits at rung 1 of bracket 1, rank 1 of 1"


@pytest.mark.parametrize("closed", [True, False])
def test_a_close_that_is_not_on_record_shows_in_the_promotions(closed):
    scheduler, names = started(4)
    for number, name in enumerate(names):
        come(scheduler, name, 1, number / 10)
    if closed:
        scheduler.close()
    scheduler.resume("t3")
    assert scheduler.promote() is None
    assert [name for name, _ in scheduler.resolve_paused()] == ["t2", "t1", "t0"]
    scheduler.add("more")
    assert scheduler._places["more"].bracket is not scheduler._places["t3"].bracket


def test_a_close_where_nobody_waits_leaves_the_bracket_open():
    scheduler, names = started(8)
    scheduler.close()
    scheduler.add("t8")
    for name in [*names, "t8"]:
        come(scheduler, name, 1, 0.5)
    assert [name for name, _ in promote_all(scheduler)] == ["t0", "t1", "t2"]


def test_who_comes_after_the_close_is_measured_by_those_who_went_on():
    scheduler, _ = started(9)  # t4 to t8 do not begin: the budget has no room for them
    for name, accuracy in (("t0", 0.5), ("t1", 0.6), ("t2", 0.7), ("t3", 0.8)):
        come(scheduler, name, 1, accuracy)
    scheduler.close()
    assert [name for name, _ in promote_all(scheduler)] == ["t3"]
    assert come(scheduler, "t4", 1, 0.75) == "pruned at rung 1 of bracket 0, rank 2 of 5"
    assert come(scheduler, "t5", 1, 0.9) is None
    assert come(scheduler, "t5", 3, 0.9) == "waits at rung 2 of bracket 0, rank 1 of 1"
    assert come(scheduler, "t3", 3, 0.8) == "pruned at rung 2 of bracket 0, rank 2 of 2"
    assert promote_all(scheduler) == [("t5", "promoted from rung 2 of bracket 0, rank 1 of 2")]


def test_a_trial_that_an_earlier_stage_trained_further_is_compared_at_its_first_rung_all_the_same():
    scheduler, names = started(9)
    for epoch, accuracy in ((1, 0.3), (2, 0.4), (3, 0.9), (4, 0.9)):
        scheduler.record("t0", epoch, accuracy)
    assert scheduler.decide("t0").reason == "waits at rung 1 of bracket 0, rank 1 of 1"
    scheduler.pause("t0")
    for name in names[1:]:
        come(scheduler, name, 1, 0.2)
    assert [name for name, _ in promote_all(scheduler)] == ["t1", "t2"]  # t0 went up, and waits at rung 2 already
    assert scheduler.decide("t0").reason == "waits at rung 2 of bracket 0, rank 1 of 1"
    come(scheduler, "t1", 3, 0.5)
    come(scheduler, "t2", 3, 0.6)
    assert promote_all(scheduler) == [("t0", "promoted from rung 2 of bracket 0, rank 1 of 3")]


def test_a_trial_that_began_after_a_rung_has_there_what_it_measured_first():
    scheduler, names = started(9)
    assert come(scheduler, "t0", 2, 0.9) == "waits at rung 1 of bracket 0, rank 1 of 1"
    for name in names[1:]:
        come(scheduler, name, 1, 0.5)
    assert [name for name, _ in promote_all(scheduler)] == ["t0", "t1", "t2"]
