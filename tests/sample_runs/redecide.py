"""IntegrityReport that the decisions on record are those that a new driver takes: from the same results in the same order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runner.config.sweep import SweepSpec
from runner.control.controller import TrialController
from runner.journal.events import EpochReported, Event, TrialEnded, TrialPaused
from runner.journal.journal import UnwrittenJournal
from runner.journal.log import RunLog
from runner.search.base.protocol import Search


def check_decisions(
    events: Sequence[Event], spec: SweepSpec, choose: Callable[[], Search], every: int = 1
) -> tuple[int, int]:
    """For each result on record (or every so many): a driver that has read what came before decides alike.

    Returns how many results were looked at, and how many of them brought an end or a pause.
    """
    places = [place for place, event in enumerate(events) if isinstance(event, EpochReported)][::every]
    halts = 0
    for place in places:
        report = events[place]
        assert isinstance(report, EpochReported)
        log = RunLog(UnwrittenJournal(events[:place]), [])
        controller = TrialController(spec, choose(), log)
        controller.report(report.trial_id, report.result, report.trained)
        expected = [_decision(event, report) for event in events[place + 1 : place + 2]]
        found = [_decision(event, report) for event in log.events[place + 1 : place + 2]]
        assert (found or [None]) == (expected or [None]), (place, report.trial_id, report.result.epoch)
        halts += found not in ([], [None])
    return len(places), halts


def _decision(event: Event, report: EpochReported) -> tuple[str, str] | None:
    """The end or the pause that a result brought, with its reason; None where it brought none."""
    if isinstance(event, TrialEnded) and event.trial_id == report.trial_id and event.state != "stopped":
        return event.state, event.reason
    if isinstance(event, TrialPaused) and event.trial_id == report.trial_id:
        return "paused", event.reason
    return None
