"""A pool holds what lines up, and names what does not."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from ensembles.pool import READERS, PredictionPool, candidates, read_pool
from tests.ensembles.samples import make_pool, member
from trainables import layout
from trainables.checkpoint import CheckpointId, write_checkpoint
from trainables.config import TrialConfig
from trainables.data_table import DataTable
from trainables.errors import CaucusError, MismatchedPredictions, StoreError
from trainables.folder import Folder
from trainables.predictions import Predictions, to_arrow
from trainables.record import EpochResult, TrialRecord

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


def test_a_store_that_does_not_answer_leaves_nobody_out(tmp_path: Path) -> None:
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


def test_asking_for_a_member_that_is_not_there_tells_why(tmp_path: Path) -> None:
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


def result(epoch: int, accuracy: float) -> EpochResult:
    return EpochResult(epoch, 1.0, 0.5, 1.0, accuracy, 1.0, 1.0)


def test_candidates_are_the_best_epochs_or_all() -> None:
    records = [
        TrialRecord(
            TrialConfig(data_id="d1", seed=2), "finished", "", (result(1, 0.5), result(2, 0.7), result(3, 0.7))
        ),
        TrialRecord(TrialConfig(data_id="d1", seed=0), "failed", "out of memory"),
        TrialRecord(TrialConfig(data_id="d1", seed=1), "pruned", "", (result(1, 0.9),)),
    ]
    first, _, third = (record.trial_id for record in records)
    assert candidates(records, "best") == [CheckpointId(first, 2), CheckpointId(third, 1)]
    every = [CheckpointId(first, 1), CheckpointId(first, 2), CheckpointId(first, 3), CheckpointId(third, 1)]
    assert candidates(records, "every") == every
