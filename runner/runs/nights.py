"""The nights of a sweep in its store, and the last accepted one, which is the baseline of the next night."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ensembles.nights.summary import NightSummary, read_summary
from trainables.errors import DamagedObject, ObjectMissing
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json

READERS = 16


def read_nights(store: Store, name: str, notify: Callable[[str], None] = lambda _: None) -> dict[str, NightSummary]:
    """All nights of a sweep by their run, the oldest first. Runs without the record of a night are left out.

    A night whose record is damaged is left out, too, and `notify` gets a message: later nights must not need manual repair. Raises
    `StoreError`.
    """
    runs = store.folders(layout.sweep_prefix(name))

    def read(run: str) -> NightSummary | None:
        try:
            return read_night(store, name, run)
        except DamagedObject as error:
            notify(f"{error}; until then that night counts as none")
            return None

    with ThreadPoolExecutor(READERS, thread_name_prefix="nights") as readers:
        summaries = list(readers.map(read, runs))
    found = [(run, summary) for run, summary in zip(runs, summaries, strict=True) if summary is not None]
    return dict(sorted(found, key=lambda pair: (pair[1].number, pair[1].decided_unix_s)))


def read_night(store: Store, name: str, run: str) -> NightSummary | None:
    """One night, None where the run is not a night. Raises `StoreError`, including `DamagedObject`."""
    key = layout.run_key(name, run, layout.NIGHT)
    try:
        return read_summary(get_json(store, key))
    except ObjectMissing:
        return None
    except DamagedObject as error:
        where = f"{store.uri}/{key}"
        raise error if where in str(error) else DamagedObject(f"{where}: {error}") from None


def last_accepted(nights: Mapping[str, NightSummary], before: int | None = None) -> str | None:
    """The run of the newest accepted night; with `before`, among the nights with lower numbers."""
    accepted = [
        run for run, summary in nights.items() if summary.accepted and (before is None or summary.number < before)
    ]
    return accepted[-1] if accepted else None


def next_number(nights: Mapping[str, NightSummary]) -> int:
    """The number for a night that begins now."""
    return 1 + max((summary.number for summary in nights.values()), default=0)
