"""A pool holds what lines up, and names what does not."""

from __future__ import annotations

import tempfile
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ensembles.pool.alignment import READERS
from ensembles.pool.pool import PredictionPool, read_pool
from tests.ensembles.samples import CLASSES, make_pool, member
from trainables.data.data_table import DataTable
from trainables.errors import CaucusError, MismatchedPredictions, StoreError
from trainables.results.checkpoint import CheckpointId, write_checkpoint
from trainables.results.predictions import Predictions, to_arrow
from trainables.store import layout
from trainables.store.folder import Folder

TABLE = DataTable(
    data_id="d1",
    name="six images",
    class_names=("cat", "dog"),
    image_ids=tuple("abcdef"),
    labels=np.array([0, 1, 1, 0, 1, 0]),
    splits=np.array([0, 1, 2, 1, 1, 2], np.int8),
)
VALIDATION = np.array([1, 3, 4], np.int32)


def predictions(
    number: int = 0,
    data_id: str = "d1",
    split: str = "validation",
    labels: str | None = None,
    rows: np.ndarray = VALIDATION,
    classes: int = 2,
) -> bytes:
    given = np.full((len(rows), classes), 1 / classes, np.float32)
    given[:, :2] += np.float32(0.01 * number) * np.array([1, -1], np.float32)
    return to_arrow(Predictions(data_id, split, labels or TABLE.labels_sha256("validation"), rows, given))


def write(store: Folder, number: int, validation: bytes) -> CheckpointId:
    write_checkpoint(store, member(number), {"validation.arrow": validation})
    return member(number)


def test_a_pool_has_the_members_in_the_order_asked_for(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    members = [write(store, number, predictions(number)) for number in range(2 * READERS)][::-1]
    pool = read_pool(store, members, "validation", TABLE)
    assert pool.members == tuple(members)
    assert pool.probabilities.shape == (2 * READERS, 3, 2)
    assert pool.probabilities.dtype == np.float32
    assert pool.probabilities[:, 0, 0] == pytest.approx(
        [0.5 + 0.01 * number for number in reversed(range(2 * READERS))]
    )
    assert pool.labels.tolist() == [1, 0, 1]
    assert (pool.data_id, pool.split, pool.class_names, pool.left_out) == ("d1", "validation", ("cat", "dog"), ())


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (predictions(data_id="d2"), "its predictions are of data d2, not d1"),
        (predictions(split="test"), "its predictions are of split test, not validation"),
        (predictions(labels="00" * 32), "made for other labels of validation"),
        (predictions(rows=VALIDATION[::-1]), "3 predictions are not of the 3 images of validation in their order"),
        (predictions(rows=VALIDATION[:2]), "2 predictions are not of the 3 images"),
        (predictions(classes=3), "know 3 classes, not 2"),
        (b"not arrow", "not a predictions file"),
    ],
)
def test_predictions_that_do_not_line_up_are_left_out_by_name(tmp_path: Path, other: bytes, reason: str) -> None:
    store = Folder(tmp_path)
    members = [write(store, 0, predictions(1)), write(store, 1, other), write(store, 2, predictions(2))]
    pool = read_pool(store, members, "validation", TABLE)
    assert pool.members == (member(0), member(2))
    assert pool.probabilities[:, 0, 0] == pytest.approx([0.51, 0.52])
    ((name, why),) = pool.left_out
    assert name == member(1)
    assert reason in why


def test_missing_and_damaged_predictions_are_left_out_by_name(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    members = [write(store, number, predictions()) for number in range(4)] + [member(9)]
    store.put(member(0).key("validation.arrow"), b"something else")
    store.delete(member(1).key("validation.arrow"))
    store.put(member(2).key(layout.MANIFEST), b"{half a mani")
    pool = read_pool(store, members, "validation", TABLE)
    assert pool.members == (member(3),)
    reasons = dict(pool.left_out)
    assert list(reasons) == [member(0), member(1), member(2), member(9)]
    assert "is not what its manifest promises" in reasons[member(0)]
    assert "holds no" in reasons[member(1)]
    assert "not readable as JSON" in reasons[member(2)]
    assert "holds no" in reasons[member(9)]


def test_nothing_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    members = [write(store, 0, predictions(data_id="d2")), member(1)]
    with pytest.raises(
        MismatchedPredictions, match=r"none of 2 checkpoints has predictions on validation .*@3: its predictions are of"
    ):
        read_pool(store, members, "validation", TABLE)
    with pytest.raises(CaucusError, match="none of 0 checkpoints"):
        read_pool(store, [], "validation", TABLE)


def test_a_store_that_does_not_answer_leaves_no_member_out(tmp_path: Path) -> None:
    class Silent(Folder):
        def get(self, key: str) -> bytes:
            if member(1).trial_id in key:
                raise StoreError("store runs: no answer within 10 s: try again")
            return super().get(key)

    members = [write(Folder(tmp_path), number, predictions()) for number in range(3)]
    with pytest.raises(StoreError, match="no answer"):
        read_pool(Silent(tmp_path), members, "validation", TABLE)


def test_predictions_are_read_side_by_side(tmp_path: Path) -> None:
    meeting = threading.Barrier(4, timeout=30)

    class Far(Folder):
        def get(self, key: str) -> bytes:
            if key.endswith(layout.MANIFEST):
                meeting.wait()  # gives up unless four are on their way at once
            return super().get(key)

    members = [write(Folder(tmp_path), number, predictions()) for number in range(4)]
    assert read_pool(Far(tmp_path), members, "validation", TABLE).members == tuple(members)


def test_asking_for_a_missing_member_raises_with_the_reason(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    members = [write(store, 0, predictions()), write(store, 1, predictions(data_id="d2"))]
    pool = read_pool(store, members, "validation", TABLE)
    assert pool.position(member(0)) == 0
    with pytest.raises(MismatchedPredictions, match=r"@3 has no predictions on validation .*of data d2, not d1"):
        pool.position(member(1))


@pytest.mark.parametrize(
    ("members", "labels", "message"),
    [
        ((member(0),), [0, 1], r"float32\(2, 2, 2\), not float32\(1, 2, 2\)"),
        ((member(0), member(0)), [0, 1], "twice"),
    ],
)
def test_what_is_no_pool_cannot_be_made(members: tuple, labels: list[int], message: str) -> None:
    with pytest.raises(MismatchedPredictions, match=message):
        PredictionPool("d1", "test", members, np.full((2, 2, 2), 0.5, np.float32), np.array(labels), ("cat", "dog"))


def test_a_split_without_images_is_no_pool() -> None:
    with pytest.raises(MismatchedPredictions, match="has 2 members, 0 images and 3 classes"):
        make_pool(np.empty((2, 0, 3)), [])


def unchecked(rows: list[list[float]]) -> bytes:
    """A predictions file of the three validation images that nobody has looked into."""
    shares = pa.array(rows, pa.list_(pa.float32(), len(rows[0])))
    written = {"data_id": "d1", "split": "validation", "labels_sha256": TABLE.labels_sha256("validation")}
    table = pa.table({"row": pa.array(VALIDATION), "probabilities": shares}, metadata=written)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


EVEN = [0.5, 0.5]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([EVEN, EVEN, [0.5, float("nan")]], "1 of 3 rows hold a NaN or an infinity"),
        ([EVEN, [float("inf"), 0], [float("nan"), 1]], "2 of 3 rows hold a NaN or an infinity"),
        ([EVEN, [1.25, -0.25], EVEN], "a negative entry, or a sum other than one"),
        ([EVEN, [0.5, 0.4], EVEN], "a negative entry, or a sum other than one"),
        ([[0, 0], EVEN, EVEN], "a negative entry, or a sum other than one"),
    ],
    ids=["NaN", "infinity", "negative", "sum of 0.9", "sum of 0"],
)
def test_numbers_that_are_no_probabilities_are_left_out_by_name(
    tmp_path: Path, rows: list[list[float]], reason: str
) -> None:
    store = Folder(tmp_path)
    members = [write(store, 0, predictions(1)), write(store, 1, unchecked(rows))]
    pool = read_pool(store, members, "validation", TABLE)
    assert pool.members == (member(0),)
    ((name, why),) = pool.left_out
    assert name == member(1)
    assert reason in why


@pytest.mark.parametrize("damage", ["flipped bit", "truncated", "longer", "empty"])
def test_damaged_bytes_are_left_out_by_name_wherever_they_are(tmp_path: Path, damage: str) -> None:
    store, whole = Folder(tmp_path), predictions(2)
    places = range(0, len(whole), 97) if damage in ("flipped bit", "truncated") else [0]
    for place in places:
        members = [write(store, 0, predictions(1)), write(store, 1, whole)]
        changed = {
            "flipped bit": whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :],
            "truncated": whole[:place],
            "longer": whole + b"\0",
            "empty": b"",
        }[damage]
        store.put(member(1).key("validation.arrow"), changed)
        pool = read_pool(store, members, "validation", TABLE)
        assert pool.members == (member(0),)
        assert "is not what its manifest promises" in pool.left_out[0][1]


def test_of_duplicates_the_first_stays_and_the_others_are_named(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    said = [1, 2, 1, 3, 2, 1]
    members = [write(store, number, predictions(tenth)) for number, tenth in enumerate(said)]
    pool = read_pool(store, members, "validation", TABLE, merge=True)
    assert pool.members == (member(0), member(1), member(3))
    assert pool.probabilities[:, 0, 0] == pytest.approx([0.51, 0.52, 0.53])
    reason = "its predictions on validation are those of {}, bit for bit: the same net has one vote"
    assert pool.left_out == (
        (member(2), reason.format(member(0))),
        (member(4), reason.format(member(1))),
        (member(5), reason.format(member(0))),
    )
    kept = read_pool(store, members[::-1], "validation", TABLE, merge=True).members
    assert kept == (member(5), member(4), member(3))


def test_no_member_is_merged_unless_requested(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    members = [write(store, number, predictions()) for number in range(3)]
    assert read_pool(store, members, "validation", TABLE).members == tuple(members)


def test_predictions_that_differ_in_the_last_bit_are_no_duplicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly = np.nextafter(np.float32(0.5), np.float32(1))
    store = Folder(tmp_path)
    members = [
        write(store, 0, unchecked([EVEN] * 3)),
        write(store, 1, unchecked([EVEN, EVEN, [float(nearly), 0.5]])),
        write(store, 2, unchecked([EVEN] * 3)),
    ]
    assert read_pool(store, members, "validation", TABLE, merge=True).members == (member(0), member(1))
    monkeypatch.setattr("ensembles.pool.pool.zlib.crc32", lambda data: 7)  # checksums that all collide decide nothing
    assert read_pool(store, members, "validation", TABLE, merge=True).members == (member(0), member(1))


LARGE = DataTable(
    "d1", "large", CLASSES, tuple(map(str, range(2000))), np.arange(2000) % 10, np.repeat(np.array([1], np.int8), 2000)
)


def write_large(store: Folder, count: int) -> list[CheckpointId]:
    """`count` checkpoints on the 2,000 images of `LARGE`, all different; every tenth is damaged."""
    rng, rows = np.random.default_rng(0), LARGE.rows("validation").astype(np.int32)
    for number in range(count):
        shares = rng.dirichlet(np.ones(10), 2000).astype(np.float32)
        write(store, number, to_arrow(Predictions("d1", "validation", LARGE.labels_sha256("validation"), rows, shares)))
        if number % 10 == 3:
            store.put(member(number).key("validation.arrow"), b"damaged")
    return [member(number) for number in range(count)]


def test_a_pool_takes_its_own_memory_and_less_than_a_tenth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ensembles.pool.pool.IN_FLIGHT_BYTES", 0)  # so that this one counts as large
    store = Folder(tmp_path)
    members = write_large(store, 200)
    read_pool(store, members[:4], "validation", LARGE, merge=True)
    tracemalloc.start()
    pool = read_pool(store, members, "validation", LARGE, merge=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pool.members) == 180
    assert peak < 1.1 * (200 * 2000 * 10 * 4)


def test_a_pool_above_the_limit_lies_in_a_scratch_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ensembles.pool.pool.IN_FLIGHT_BYTES", 0)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    store = Folder(tmp_path)
    members = write_large(store, 100)
    held = read_pool(store, members, "validation", LARGE)
    tracemalloc.start()
    mapped = read_pool(store, members, "validation", LARGE, limit_bytes=4_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * (100 * 2000 * 10 * 4)
    assert mapped.members == held.members
    np.testing.assert_array_equal(mapped.probabilities, held.probabilities)
    assert type(mapped.probabilities) is np.ndarray
    assert list(scratch.iterdir()) == []
