"""The nights of a sweep as its store has them, and the last accepted one: what the next night has to be better than."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ensembles.nights.summary import NightSummary, read_summary
from trainables.errors import DamagedObject, ObjectMissing
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json

READERS = 16


def read_nights(store: Store, name: str, say: Callable[[str], None] = lambda _: None) -> dict[str, NightSummary]:
    """All nights of a sweep by their run, the oldest first. Runs without the record of a night are none.

    One whose record is damaged counts as none, and `say` is told: the nights after it must go on without a person. Raises
    `StoreError`.
    """
    runs = store.folders(layout.sweep_prefix(name))

    def read(run: str) -> NightSummary | None:
        try:
            return read_night(store, name, run)
        except DamagedObject as error:
            say(f"{error}; until then that night counts as none")
            return None

    with ThreadPoolExecutor(READERS, thread_name_prefix="nights") as readers:
        stories = list(readers.map(read, runs))
    found = [(run, story) for run, story in zip(runs, stories, strict=True) if story is not None]
    return dict(sorted(found, key=lambda pair: (pair[1].number, pair[1].decided_unix_s)))


def read_night(store: Store, name: str, run: str) -> NightSummary | None:
    """One night, None where the run is none. Raises `StoreError`, of which one is `DamagedObject`."""
    key = layout.run_key(name, run, layout.NIGHT)
    try:
        return read_summary(get_json(store, key))
    except ObjectMissing:
        return None
    except DamagedObject as error:
        where = f"{store.uri}/{key}"
        raise error if where in str(error) else DamagedObject(f"{where}: {error}") from None


def last_accepted(nights: Mapping[str, NightSummary], before: int | None = None) -> str | None:
    """The run of the newest accepted night, of those with a number below `before` where that is given."""
    accepted = [run for run, story in nights.items() if story.accepted and (before is None or story.number < before)]
    return accepted[-1] if accepted else None


def next_number(nights: Mapping[str, NightSummary]) -> int:
    """The number of a night that begins now."""
    return 1 + max((story.number for story in nights.values()), default=0)
