"""Whether the decisions on record are those that a new driver takes: from the same results, in the same order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runner.config.scheduler import SchedulerConfig
from runner.config.sweep import SweepSpec
from runner.control.controller import TrialController
from runner.journal.events import EpochReported, Event, TrialEnded, TrialPaused
from runner.journal.journal import UnwrittenJournal
from runner.journal.log import RunLog
from runner.schedulers.base import Scheduler
from runner.schedulers.choose import choose_scheduler
from runner.search.base.protocol import Search
from runner.testing.contract import Make, expect_equal


def check_decisions(
    events: Sequence[Event],
    spec: SweepSpec,
    make_search: Make[Search],
    every: int = 1,
    choose: Callable[[SchedulerConfig, int], Scheduler] = choose_scheduler,
) -> tuple[int, int]:
    """For each result on record (or every so many): a driver that has read what came before decides alike.

    `events` are those of a run, real or simulated (`runner.control.simulator`), of the sweep `spec`; `choose` makes the
    scheduler of each stage. Returns how many results were looked at, and how many of them brought an end or a pause.
    Raises `AssertionError` where another decision is on record.
    """
    places = [place for place, event in enumerate(events) if isinstance(event, EpochReported)][::every]
    halts = 0
    for place in places:
        report = events[place]
        assert isinstance(report, EpochReported)
        log = RunLog(UnwrittenJournal(events[:place]), [])
        controller = TrialController(spec, make_search(), log, choose=choose)
        controller.report(report.trial_id, report.result, report.trained)
        expected = _decision(events[place + 1 : place + 2], report)
        found = _decision(log.events[place + 1 : place + 2], report)
        epoch = report.result.epoch
        expect_equal(
            f"what a new driver decides after event {place}, epoch {epoch} of {report.trial_id},", found, expected
        )
        halts += found is not None
    return len(places), halts


def _decision(events: Sequence[Event], report: EpochReported) -> tuple[str, str] | None:
    """The end or the pause that a result brought, with its reason; None where it brought none."""
    for event in events:
        if isinstance(event, TrialEnded) and event.trial_id == report.trial_id and event.state != "stopped":
            return event.state, event.reason
        if isinstance(event, TrialPaused) and event.trial_id == report.trial_id:
            return "paused", event.reason
    return None
