"""The journal of a run, an event-sourced log, and the lease of its single writer.

`events` has the values, `journal` stores them, `state.RunState` is the fold over them, `lease` admits one driver.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.journal.events import Event
    from runner.journal.journal import Journal, read_state
    from runner.journal.lease import Lease, take_lease
    from runner.journal.log import RunLog
    from runner.journal.state import RunState

__all__ = ["Event", "Journal", "Lease", "RunLog", "RunState", "read_state", "take_lease"]

__getattr__ = lazy_names(
    __name__,
    {
        "events": ("Event",),
        "journal": (
            "Journal",
            "read_state",
        ),
        "lease": (
            "Lease",
            "take_lease",
        ),
        "log": ("RunLog",),
        "state": ("RunState",),
    },
)
