import pytest

from runner.event import TrialEnded, TrialStarted, to_line
from runner.journal import SEGMENT_BYTES, Journal
from trainables.errors import StoreError
from trainables.folder import Folder

PREFIX = "sweeps/dots/r1/events/"


def started(number):
    return TrialStarted(at_unix_s=1.0, elapsed_s=float(number), trial_id=f"{number:012x}")


@pytest.fixture
def store(tmp_path):
    return Folder(tmp_path, "runs")


def again(store):
    return Journal(store, "dots", "r1").events


def keys(store):
    return [found.key for found in store.find(PREFIX)]


def test_a_run_without_events_is_empty_and_writes_nothing(store):
    assert again(store) == []
    assert store.find("") == []


def test_each_event_can_be_read_as_soon_as_it_is_appended(store):
    journal = Journal(store, "dots", "r1")
    for number in range(5):
        journal.append(started(number))
        assert again(store) == journal.events == [started(at) for at in range(number + 1)]


def test_what_append_returned_from_is_on_the_disk(store, tmp_path):
    Journal(store, "dots", "r1").append(started(0), started(1))
    assert (tmp_path / PREFIX / "000000.jsonl").read_bytes() == to_line(started(0)) + to_line(started(1))


def test_a_second_driver_goes_on_where_the_first_one_ended(store):
    Journal(store, "dots", "r1").append(started(0))
    Journal(store, "dots", "r1").append(started(1))
    assert again(store) == [started(0), started(1)]
    assert keys(store) == [PREFIX + "000000.jsonl"]


def test_events_of_other_runs_are_not_read(store):
    Journal(store, "dots", "r1").append(started(0))
    Journal(store, "dots", "r11").append(started(1))
    Journal(store, "dots2", "r1").append(started(2))
    assert again(store) == [started(0)]


def test_order_is_kept_over_many_segments_and_drivers(store):
    events = [started(number) for number in range(5000)]
    for first in range(0, 5000, 1250):
        journal = Journal(store, "dots", "r1")
        for at in range(first, first + 1250, 25):
            journal.append(*events[at : at + 25])
    assert again(store) == events
    sizes = [found.size_bytes for found in store.find(PREFIX)]
    assert len(sizes) > 4
    assert all(SEGMENT_BYTES <= size < SEGMENT_BYTES + 25 * len(to_line(events[-1])) for size in sizes[:-1])


def test_a_segment_is_closed_once_it_has_64_kib_and_never_written_again(store):
    journal = Journal(store, "dots", "r1")
    lines = (SEGMENT_BYTES - 1) // len(to_line(started(1000)))  # all of the same length
    journal.append(*(started(number) for number in range(1000, 1000 + lines)))
    assert keys(store) == [PREFIX + "000000.jsonl"]
    journal.append(started(2000))  # below 64 KiB before it: still the same segment
    closed = store.get(PREFIX + "000000.jsonl")
    assert len(closed) >= SEGMENT_BYTES
    journal.append(started(2001))
    assert keys(store) == [PREFIX + "000000.jsonl", PREFIX + "000001.jsonl"]
    assert store.get(PREFIX + "000000.jsonl") == closed
    assert store.get(PREFIX + "000001.jsonl") == to_line(started(2001))


def test_events_that_are_appended_together_are_in_one_object(store):
    journal = Journal(store, "dots", "r1")
    reason = "x" * SEGMENT_BYTES
    journal.append(started(0), TrialEnded(at_unix_s=1.0, elapsed_s=1.0, trial_id="a", state="failed", reason=reason))
    assert len(keys(store)) == 1


def test_events_that_cannot_be_written_are_not_taken_into_account(store, monkeypatch):
    journal = Journal(store, "dots", "r1")
    journal.append(started(0))

    def refuse(self, key, data):
        raise StoreError("no space left on device")

    with monkeypatch.context() as full:
        full.setattr(Folder, "put", refuse)
        with pytest.raises(StoreError, match="no space"):
            journal.append(started(1))
    assert journal.events == [started(0)]
    journal.append(started(2))
    assert again(store) == journal.events == [started(0), started(2)]


def test_kinds_of_a_later_version_are_skipped_and_kept(store):
    later = b'{"kind":"trial-cloned","parent":"a"}\n'
    store.put(PREFIX + "000000.jsonl", to_line(started(0)) + later)
    journal = Journal(store, "dots", "r1")
    journal.append(started(1))
    assert journal.events == [started(0), started(1)]
    assert store.get(PREFIX + "000000.jsonl") == to_line(started(0)) + later + to_line(started(1))


def test_a_damaged_line_is_an_error_that_names_its_object(store):
    store.put(PREFIX + "000000.jsonl", to_line(started(0)))
    store.put(PREFIX + "000001.jsonl", to_line(started(1))[:-9])
    with pytest.raises(StoreError, match=r"^runs/sweeps/dots/r1/events/000001\.jsonl holds a line that is no event"):
        again(store)
