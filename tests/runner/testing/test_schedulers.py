"""The contract suite of schedulers on schedulers that break it: each fault is found, and the message says what was expected."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

import pytest

from runner.schedulers.asha import Asha
from runner.schedulers.asha_promote import PromotingAsha
from runner.schedulers.base import Scheduler, SchedulerDecision, Unscheduled
from runner.testing.schedulers import check_scheduler, scheduler_checks

LAST = 9
REPLACED = "A driver that is replaced decides as if it had not been"
SAME = "The same calls lead to the same answers, whatever was asked in between"
ENDS = "Every trial comes to an end, also where the budget grew in between"
CLOSED = "Trials that are added after a close are scheduled as well"
COST = "A call costs the same however many trials there are"
PRUNED = SchedulerDecision("pruned", "too bad")


class Promoting(PromotingAsha):
    def __init__(self) -> None:
        super().__init__(LAST, 3, 1)


class CountingDecide(Unscheduled):
    """Prunes at every seventh question."""

    asked = 0

    def decide(self, trial_id: str) -> SchedulerDecision | None:
        self.asked += 1
        return PRUNED if self.asked % 7 == 0 else None


class HiddenCount(CountingDecide):
    """The same at every seventh epoch that it is asked about, so that asking twice shows nothing."""

    recorded = counted = 0

    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        self.recorded += 1

    def decide(self, trial_id: str) -> SchedulerDecision | None:
        self.asked, self.counted = self.asked + (self.recorded != self.counted), self.recorded
        return PRUNED if self.asked % 7 == 0 else None


class ResumingPromote(Promoting):
    """Takes the trial that it promotes off its list at once."""

    def promote(self) -> tuple[str, str] | None:
        promoted = super().promote()
        if promoted:
            super().resume(promoted[0])
        return promoted


class Twice(Promoting):
    """Does not hear that a trial continues."""

    def resume(self, trial_id: str) -> None:
        self.again = trial_id

    def promote(self) -> tuple[str, str] | None:
        again = getattr(self, "again", None)
        return (again, "once more") if again else super().promote()


class Chance(Unscheduled):
    """Draws from the generator of the process."""

    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        self.is_bad = random.random() < 0.2

    def decide(self, trial_id: str) -> SchedulerDecision | None:
        return PRUNED if self.is_bad else None


class Shared(Unscheduled):
    """All objects of the class have one memory."""

    results: ClassVar[Counter[str]] = Counter()

    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        self.results[trial_id] += 1

    def decide(self, trial_id: str) -> SchedulerDecision | None:
        return PRUNED if self.results[trial_id] >= 12 else None


class Patient(Promoting):
    """Nothing that waits is ever given up."""

    def resolve_paused(self) -> list[tuple[str, str]]:
        return []


class Hasty(Promoting):
    """Gives up what was never paused."""

    def resolve_paused(self) -> list[tuple[str, str]]:
        return [("t0", "hopeless")]


class Speechless(Unscheduled):
    def decide(self, trial_id: str) -> SchedulerDecision | None:
        return SchedulerDecision("pruned", "")


class Counting(Unscheduled):
    """Looks at one trial in twenty in every call."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, trial_id: str) -> None:
        self.names.append(trial_id)

    def decide(self, trial_id: str) -> SchedulerDecision | None:
        for name in self.names[::20]:
            if name == trial_id:
                break
        return None


class FirstPruned(Asha):
    """The worst goes on."""

    def __init__(self) -> None:
        super().__init__(LAST, 3, 1)

    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        super().record(trial_id, epoch, -accuracy)


@pytest.mark.parametrize(
    ("make", "promise", "message"),
    [
        (
            CountingDecide,
            REPLACED,
            r"decide\('t\d+'\), asked again with nothing in between, is None, expected .*prun",
        ),
        (
            HiddenCount,
            REPLACED,
            r"a decision, where the driver was replaced before, is .*, in draw_situation\(\d+, 9\)",
        ),
        (
            HiddenCount,
            SAME,
            r"what one that was asked nothing before answers after the same \d+ call\(s\) is .*, expected",
        ),
        (ResumingPromote, REPLACED, r"promote\(\), asked again with nothing in between, is .*, expected \('t"),
        (Twice, ENDS, r"promote\(\) names 't\d+', which is .*, expected a trial that is paused"),
        (Chance, REPLACED, "where the driver was replaced"),
        (Chance, SAME, "what another scheduler answers after the same"),
        (Shared, REPLACED, "a decision, where the driver was replaced before"),
        (
            Patient,
            ENDS,
            r"t\d+ is paused when nothing is left to do, expected one of \['failed', 'finished', 'pruned'\]",
        ),
        (Patient, CLOSED, "is paused when nothing is left to do"),
        (Hasty, ENDS, r"resolve_paused\(\) names 't0', which is .*, expected a trial that is paused"),
        (Speechless, SAME, r"decide\('t0'\) gives no reason for pruned, expected one for people"),
        (
            Counting,
            COST,
            r"an epoch takes \d+ lines of Python with 4000 trials and \d+ with 400, expected about as many",
        ),
        (
            FirstPruned,
            "The best at every rung trains to its end",
            "the best at every epoch, is 'pruned', expected 'fin",
        ),
        (FirstPruned, "A bad trial is pruned, though it comes first", "is 'finished', expected 'pruned'"),
        (Unscheduled, "An accuracy that is no number is pruned, and never promoted", r"is \['finished'\], expected"),
    ],
)
def test_a_scheduler_that_breaks_a_promise_is_told_which_and_what_was_expected(
    make: Callable[[], Scheduler], promise: str, message: str
) -> None:
    (check,) = (check for check in scheduler_checks(LAST, prunes=True) if str(check) == promise)
    with pytest.raises(AssertionError, match=f"^{promise}: .*{message}"):
        check(make)


def test_only_what_is_broken_is_listed() -> None:
    with pytest.raises(AssertionError) as caught:
        check_scheduler(Patient, LAST)
    first, *listed = str(caught.value).splitlines()
    assert first == "2 promise(s) broken:"
    assert [line.split(":")[0] for line in listed] == [f"- {ENDS}", f"- {CLOSED}"]


def test_a_scheduler_that_keeps_them_passes_and_may_train_each_trial_to_its_end() -> None:
    check_scheduler(Unscheduled, LAST)
    check_scheduler(Promoting, LAST, prunes=True)
