"""When a run stops before its trials have come to their ends, and why."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from runner.execution.context import RunContext
from trainables.results.record import OUT_OF_BUDGET

if TYPE_CHECKING:
    from runner.execution.waiting import Waiting  # imports Ray


class StopCause(StrEnum):
    """What ends the training of a run early."""

    BUDGET = "budget"
    """The budget is spent or its time is over: a proper end, which a larger budget continues."""
    INTERRUPTED = "interrupted"
    """A person or a supervisor has sent SIGINT or SIGTERM."""
    STUCK = "stuck"
    """No trial can run, or the cluster does not fit the run."""
    RESIZED = "resized"
    """The nodes are smaller than was planned, and nothing has run yet: training begins again with smaller slots."""
    LEASE_LOST = "lease lost"
    """Another driver has taken the run over."""
    GAVE_UP = "gave up"
    """Tune returned although trials were running."""


@dataclass(frozen=True)
class StopReason:
    """Why a run stopped early: the cause for code, the text for people."""

    cause: StopCause
    text: str


class StopConditions:
    """Knows whether a run has to stop, and why. Asked in every turn of Tune's loop."""

    def __init__(
        self, context: RunContext, deadline_unix_s: float, waiting: Waiting, interrupted: threading.Event
    ) -> None:
        self._context = context
        self._deadline_unix_s = deadline_unix_s
        self._waiting = waiting
        self._interrupted = interrupted
        self._unfit = ""
        self.is_resized = False
        """Whether the nodes that joined are smaller than was planned."""

    def end_unfit(self, text: str) -> None:
        """The cluster does not fit the run, as `text` says: a worker has found that out."""
        if not self._unfit:
            self._unfit = text
            self._context.notify(text)

    @property
    def reason(self) -> StopReason | None:
        """Why the run has to stop now; None while it goes on. Where several hold, the first of these."""
        context = self._context
        if context.lease.is_lost:
            return StopReason(StopCause.LEASE_LOST, "another driver has taken the run over")
        if self._interrupted.is_set():
            return StopReason(StopCause.INTERRUPTED, "interrupted")
        if text := self._unfit or self._waiting.reason:
            return StopReason(StopCause.STUCK, text)
        if spent := context.budget.spent(context.log.state, context.log.elapsed_s):
            return StopReason(StopCause.BUDGET, f"{OUT_OF_BUDGET} ({spent})")
        if self.is_resized:
            return StopReason(StopCause.RESIZED, "the nodes that came are smaller than was meant")
        if time.time() > self._deadline_unix_s:
            return StopReason(StopCause.BUDGET, OUT_OF_BUDGET)
        return None
