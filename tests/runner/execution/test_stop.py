"""When a run stops early, and which reason is told where several hold."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from runner.execution.stop import StopCause, StopConditions
from trainables.results.record import OUT_OF_BUDGET


class Case:
    """Conditions of a run with ten more minutes, of which each can be made to hold."""

    def __init__(self, left_s: float = 600.0) -> None:
        self.spent = ""
        self.lines: list[str] = []
        self.lease = SimpleNamespace(is_lost=False)
        self.waiting = SimpleNamespace(reason="")
        self.interrupted = threading.Event()
        context: Any = SimpleNamespace(
            lease=self.lease,
            budget=SimpleNamespace(spent=lambda state, elapsed_s: self.spent),
            log=SimpleNamespace(state=None, elapsed_s=1.0),
            notify=self.lines.append,
        )
        waiting: Any = self.waiting
        self.conditions = StopConditions(context, time.time() + left_s, waiting, self.interrupted)


def resize(case: Case) -> None:
    case.conditions.is_resized = True


def spend(case: Case) -> None:
    case.spent = "10 epochs"


def wait_too_long(case: Case) -> None:
    case.waiting.reason = "no trial could run"


def lose(case: Case) -> None:
    case.lease.is_lost = True


IN_ORDER = [
    (lose, StopCause.LEASE_LOST, "another driver has taken the run over"),
    (lambda case: case.interrupted.set(), StopCause.INTERRUPTED, "interrupted"),
    (lambda case: case.conditions.end_unfit("no GPU"), StopCause.STUCK, "no GPU"),
    (wait_too_long, StopCause.STUCK, "no trial could run"),
    (spend, StopCause.BUDGET, f"{OUT_OF_BUDGET} (10 epochs)"),
    (resize, StopCause.RESIZED, "the nodes that came are smaller than was meant"),
]


def test_a_run_goes_on_while_nothing_holds() -> None:
    assert Case().conditions.reason is None


@pytest.mark.parametrize("place", range(len(IN_ORDER)))
def test_of_several_reasons_the_first_in_order_is_told(place: int) -> None:
    case = Case(left_s=-1.0)
    for make, _, _ in IN_ORDER[place:]:
        make(case)
    reason = case.conditions.reason
    assert reason is not None
    assert (reason.cause, reason.text) == IN_ORDER[place][1:]


def test_a_deadline_is_a_budget_that_ran_out() -> None:
    reason = Case(left_s=-1.0).conditions.reason
    assert reason is not None
    assert (reason.cause, reason.text) == (StopCause.BUDGET, OUT_OF_BUDGET)


def test_a_cluster_that_does_not_fit_is_told_once() -> None:
    case = Case()
    case.conditions.end_unfit("no GPU")
    case.conditions.end_unfit("no driver")
    assert case.lines == ["no GPU"]
    assert case.conditions.reason is not None
    assert case.conditions.reason.text == "no GPU"
