"""Which runs of a store may still have a driver."""

from __future__ import annotations

import time

from runner.journal.lease import (
    Driver,
    find_driver,
)
from runner.runs.locate import find_runs
from trainables.store import layout
from trainables.store.base import Store

LIVE_S = 600.0
"""For deletions a driver counts as gone after this long without a heartbeat, by the store's clock. Clocks may be minutes apart."""


def find_live(store: Store) -> dict[str, Driver]:
    """The runs of a store, as `<name>/<run>`, whose drivers may still be alive: checkpoints that they use must not be deleted."""
    found: dict[str, Driver] = {}
    now_unix_s = time.time()
    for one in find_runs(store):
        driver = find_driver(store, one.name, one.run)
        if driver and not driver.has_ended:
            written = store.written_unix_s(layout.drivers_prefix(one.name, one.run))
            newest_unix_s = max(written.values(), default=now_unix_s)
            if now_unix_s - newest_unix_s < LIVE_S:
                found[f"{one.name}/{one.run}"] = driver
    return found
