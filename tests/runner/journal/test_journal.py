import pytest

from runner.journal.events import RunOpened, TrialEnded, TrialStarted, to_line
from runner.journal.journal import SEGMENT_BYTES, Journal, read_state, seal
from tests.sample_runs.damage import flip
from trainables.errors import DamagedObject, StoreError
from trainables.store.folder import Folder
from trainables.store.json_records import seal_json

PREFIX = "sweeps/dots/r1/events/"


def started(number):
    return TrialStarted(at_unix_s=1.0, elapsed_s=float(number), trial_id=f"{number:012x}")


@pytest.fixture
def store(tmp_path):
    return Folder(tmp_path, "runs")


def sealed(*events):
    """The lines of `events`, each with the checksum of all up to it."""
    lines, chained = b"", 0
    for event in events:
        line, chained = seal(to_line(event), chained)
        lines += line
    return lines


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
    assert (tmp_path / PREFIX / "000000.jsonl").read_bytes() == sealed(started(0), started(1))


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
    assert all(SEGMENT_BYTES <= size < SEGMENT_BYTES + 25 * len(sealed(events[-1])) for size in sizes[:-1])


def test_a_segment_is_closed_once_it_has_64_kib_and_never_written_again(store):
    journal = Journal(store, "dots", "r1")
    lines = (SEGMENT_BYTES - 1) // len(sealed(started(1000)))  # all of the same length
    journal.append(*(started(number) for number in range(1000, 1000 + lines)))
    assert keys(store) == [PREFIX + "000000.jsonl"]
    journal.append(started(2000))  # below 64 KiB before it: still the same segment
    closed = store.get(PREFIX + "000000.jsonl")
    assert len(closed) >= SEGMENT_BYTES
    journal.append(started(2001))
    assert keys(store) == [PREFIX + "000000.jsonl", PREFIX + "000001.jsonl"]
    assert store.get(PREFIX + "000000.jsonl") == closed
    assert store.get(PREFIX + "000001.jsonl").startswith(to_line(started(2001))[:-2])
    assert again(store) == journal.events


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
    assert store.get(PREFIX + "000000.jsonl") == to_line(started(0)) + later + sealed(started(1))


def test_a_damaged_line_is_an_error_that_names_its_object(store):
    store.put(PREFIX + "000000.jsonl", to_line(started(0)))
    store.put(PREFIX + "000001.jsonl", to_line(started(1))[:-9])
    with pytest.raises(StoreError, match=r"^runs/sweeps/dots/r1/events/000001\.jsonl holds a line that is not whole"):
        again(store)


def test_what_adds_up_to_a_state_is_read_in_one_go(store):
    Journal(store, "dots", "r1").append(RunOpened(at_unix_s=1.0, elapsed_s=0.0, versions={}, slots=7))
    assert read_state(store, "dots", "r1").slots == 7


def test_what_lines_and_what_events_say_that_is_not_understood_is_added_up(store):
    later = b'{"kind":"trial-cloned","parent":"a"}\n'
    store.put(PREFIX + "000000.jsonl", to_line(started(0)) + later + to_line(started(1)) + later)
    assert read_state(store, "dots", "r1").unread == {
        "an event 'trial-cloned'": 2,
        "trial-started of a trial that is not planned": 2,
    }


def take_over(store, driver, **words):
    return Journal(store, "dots", "r1", driver, **words)


def test_each_driver_writes_segments_of_its_own(store):
    take_over(store, 1).append(started(0))
    take_over(store, 2).append(started(1))
    assert again(store) == [started(0), started(1)]
    assert keys(store) == [PREFIX + "000001-000000.jsonl", PREFIX + "000002-000000.jsonl"]


def test_what_a_driver_writes_after_it_lost_the_run_is_not_read(store):
    orphan = take_over(store, 1)
    orphan.append(started(0))
    heir = take_over(store, 2)
    orphan.append(started(10))  # between the heir's reading and its first event
    heir.append(started(1))
    orphan.append(*(started(number) for number in range(2000)))  # more than a segment
    orphan.append(started(11))
    assert len(keys(store)) == 3
    assert again(store) == [started(0), started(1)]
    assert take_over(store, 3).events == [started(0), started(1)]


def test_a_driver_that_lost_the_run_before_its_first_event_is_not_read_either(store):
    orphan = take_over(store, 1)
    take_over(store, 2).append(started(1))
    orphan.append(started(0))
    assert again(store) == [started(1)]


def test_a_driver_that_never_wrote_leaves_no_gap(store):
    take_over(store, 1).append(started(0))
    silent = take_over(store, 2)
    take_over(store, 3).append(started(2))
    silent.append(started(1))
    assert again(store) == [started(0), started(2)]


def test_segments_from_before_drivers_had_numbers_count(store):
    store.put(PREFIX + "000000.jsonl", to_line(started(0)))
    store.put(PREFIX + "000001.jsonl", to_line(started(1)))
    take_over(store, 1).append(started(2))
    assert again(store) == [started(0), started(1), started(2)]


def test_every_flipped_bit_of_a_journal_is_noticed_or_changes_no_event(store):
    take_over(store, 1).append(started(0), started(1))
    take_over(store, 2).append(started(2))
    whole = again(store)
    noticed = 0
    for key in keys(store):
        data = store.get(key)
        for bit in range(8 * len(data)):
            store.put(key, flip(data, bit))
            try:
                assert again(store) == whole
            except DamagedObject:
                noticed += 1
        store.put(key, data)
    assert noticed > 1000


@pytest.mark.parametrize("lost", range(4))
def test_an_object_that_is_lost_is_noticed_unless_it_was_the_last(store, lost):
    journal = take_over(store, 1)
    for number in range(3):
        journal.append(*(started(number * 1000 + at) for at in range(700)))
    take_over(store, 2).append(started(9000))
    key = keys(store)[lost]
    store.delete(key)
    if lost == 3:
        assert len(again(store)) == 2100  # nothing but status.json knows of it, and there is none
    else:
        with pytest.raises(DamagedObject, match=r"misses one|shorter"):
            again(store)


def test_a_driver_that_repairs_reads_up_to_the_damage_and_later_ones_follow_it(store):
    take_over(store, 1).append(started(0), started(1), started(2))
    take_over(store, 2).append(started(3))
    key = keys(store)[0]
    data = store.get(key)
    second = data.index(b"000000000001")
    store.put(key, data[:second] + b"f" + data[second + 1 :])
    with pytest.raises(
        DamagedObject, match=r"000001-000000\.jsonl holds a line that is not what was written.*run the sweep again"
    ):
        again(store)
    repaired = take_over(store, 3, repair=True)
    assert repaired.events == [started(0)]
    assert "000001-000000.jsonl" in repaired.damage
    repaired.append(started(4))
    assert again(store) == take_over(store, 4).events == [started(0), started(4)]


def count(store, driver, events):
    store.put("sweeps/dots/r1/status.json", seal_json({"journal": {"driver": driver, "events": events}}))


@pytest.mark.parametrize("lost", range(4))
def test_what_status_has_counted_must_be_there(store, lost):
    """A last segment that is gone, whole lines at its end, or all of the journal: nothing in it tells of them."""
    journal = take_over(store, 1)
    for number in range(3):
        journal.append(*(started(number * 1000 + at) for at in range(700)))
    count(store, 1, 2100)
    assert len(again(store)) == 2100
    if lost < 3:
        for key in keys(store)[lost:]:
            store.delete(key)
    else:
        store.put(keys(store)[2], b"".join(store.get(keys(store)[2]).splitlines(keepends=True)[:-5]))
    with pytest.raises(
        DamagedObject, match=rf"events/ lacks the last {(2100, 1400, 700, 5)[lost]} of 2100 events: run the"
    ):
        again(store)
    repaired = take_over(store, 2, repair=True)
    assert (len(repaired.events), "lacks the last" in repaired.damage) == ((0, 700, 1400, 2095)[lost], True)
    repaired.append(started(9000))
    assert len(again(store)) == len(repaired.events)  # what the driver before has counted does not count any more


def test_a_journal_may_be_ahead_of_status_and_of_a_driver_that_lost_the_run(store):
    take_over(store, 1).append(started(0), started(1))
    count(store, 1, 1)
    assert len(again(store)) == 2
    take_over(store, 2).append(started(2))
    count(store, 1, 99)  # an orphan that does not know yet
    assert len(again(store)) == 3


@pytest.mark.parametrize("raw", [b"{", b'{"journal": 7}', b'{"journal": {"driver": 1}}'])
def test_a_status_without_a_count_shows_no_loss(store, raw):
    take_over(store, 1).append(started(0))
    store.put("sweeps/dots/r1/status.json", raw)
    assert len(again(store)) == 1
