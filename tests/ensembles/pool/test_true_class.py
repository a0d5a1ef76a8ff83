"""Choosing reads one column of each candidate's predictions; where there is none, all of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ensembles.config import EnsembleConfig
from ensembles.metrics.scores import accuracy, log_loss
from ensembles.pool.pool import read_pool
from ensembles.pool.true_class import TrueClassPool, read_true_class_pool, take_true_class_pool, true_or_other
from ensembles.selection.select import select
from tests.ensembles.samples import make_pool, member
from trainables.data.data_table import DataTable
from trainables.errors import MismatchedPredictions, StoreError
from trainables.results.checkpoint import CheckpointId, write_checkpoint
from trainables.results.predictions import Predictions, to_arrow
from trainables.results.true_class import TrueClass, take_true_class, true_class_to_arrow
from trainables.store.folder import Folder
from trainables.tables.arrow_file import write_table

TABLE = DataTable(
    data_id="d1",
    name="six images",
    class_names=("cat", "cow", "dog"),
    image_ids=tuple("abcdef"),
    labels=np.array([0, 2, 1, 0, 1, 0]),
    splits=np.array([0, 1, 2, 1, 1, 2], np.int8),
)
VALIDATION = np.array([1, 3, 4], np.int32)
LABELS = np.array([2, 0, 1])


@dataclass(frozen=True)
class Counting(Folder):
    """Remembers what was read."""

    read: list[str] = field(default_factory=list)

    def get(self, key: str) -> bytes:
        self.read.append(key.rpartition("/")[2])
        return super().get(key)


def predict(number: int) -> Predictions:
    """What member `number` predicts: sure of class 0 by a tenth more each."""
    first = np.float32(0.1 * number)
    row = [first, np.float32(0.75) * (1 - first), np.float32(0.25) * (1 - first)]
    given = np.array([row] * 3, np.float32)
    return Predictions("d1", "validation", TABLE.labels_sha256("validation"), VALIDATION, given)


def write(
    store: Folder, number: int, said: Predictions, truth: TrueClass | None = None, old: bool = False
) -> CheckpointId:
    parts = {"validation.arrow": to_arrow(said)}
    if not old:
        parts["validation-truth.arrow"] = true_class_to_arrow(truth or take_true_class(said, LABELS))
    write_checkpoint(store, member(number), parts)
    return member(number)


def test_it_holds_the_true_class_of_each_image_and_reads_nothing_else(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    members = [write(store, number, predict(number)) for number in (5, 1, 9)]
    pool = read_true_class_pool(store, members, "validation", TABLE)
    assert pool.members == (member(5), member(1), member(9))
    assert pool.probabilities == pytest.approx(
        np.array([[0.125, 0.5, 0.375], [0.225, 0.1, 0.675], [0.025, 0.9, 0.075]]), abs=1e-6
    )
    assert pool.probabilities.dtype == np.float32
    assert pool.predicted.tolist() == [[0] * 3, [1] * 3, [0] * 3]
    assert pool.labels.tolist() == [2, 0, 1]
    assert (pool.data_id, pool.split, pool.class_names, pool.left_out) == ("d1", "validation", TABLE.class_names, ())
    assert sorted(store.read) == ["manifest.json"] * 3 + ["validation-truth.arrow"] * 3


def test_checkpoints_of_before_are_read_whole(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    members = [write(store, 1, predict(1)), write(store, 2, predict(2), old=True)]
    pool = read_true_class_pool(store, members, "validation", TABLE)
    assert pool.members == tuple(members)
    assert pool.probabilities[1].tolist() == take_true_class(predict(2), LABELS).true_class.tolist()
    assert store.read.count("validation.arrow") == 1


GOOD = take_true_class(predict(1), LABELS)


@pytest.mark.parametrize(
    "truth",
    [
        replace(GOOD, data_id="d2"),
        replace(GOOD, split="test"),
        replace(GOOD, rows_sha256="00" * 32),
        replace(GOOD, labels_sha256="00" * 32),
        replace(GOOD, classes=4),
        replace(GOOD, true_class=GOOD.true_class[:2], predicted=GOOD.predicted[:2]),
    ],
    ids=["data", "split", "rows", "labels", "classes", "images"],
)
def test_columns_that_do_not_line_up_are_passed_over_for_the_whole(tmp_path: Path, truth: TrueClass) -> None:
    store = Counting(tmp_path)
    pool = read_true_class_pool(store, [write(store, 1, predict(1), truth)], "validation", TABLE)
    assert pool.probabilities[0].tolist() == GOOD.true_class.tolist()
    assert store.read.count("validation.arrow") == 1


def test_a_damaged_column_is_passed_over_for_the_whole(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    members = [write(store, 1, predict(1)), write(store, 2, predict(2))]
    store.put(member(1).key("validation-truth.arrow"), b"damaged")
    store.delete(member(2).key("validation-truth.arrow"))
    pool = read_true_class_pool(store, members, "validation", TABLE)
    assert pool.members == tuple(members)
    assert pool.probabilities[0].tolist() == GOOD.true_class.tolist()


def test_who_cannot_be_used_is_left_out_by_name(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    members = [member(number) for number in (0, 1, 2, 3, 4, 9)]
    for number in (0, 2, 3):
        write(store, number, predict(number))
    other = replace(predict(1), data_id="d2")
    write(store, 1, other, take_true_class(other, LABELS))
    for part in ("validation-truth.arrow", "validation.arrow"):
        store.put(member(2).key(part), b"damaged")
    store.put(member(3).key("manifest.json"), b"{half a mani")
    write_checkpoint(store, member(4), {"validation-truth.arrow": true_class_to_arrow(GOOD)})
    pool = read_true_class_pool(store, members, "validation", TABLE)
    assert pool.members == (member(0),)
    assert [name for name, _ in pool.left_out] == members[1:]
    reasons = [reason for _, reason in pool.left_out]
    for reason, expected in zip(
        reasons,
        ["of data d2", "not what its manifest promises", "JSON", "has no validation.arrow", "holds no"],
        strict=True,
    ):
        assert expected in reason


def test_no_member_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(MismatchedPredictions, match=r"none of 1 checkpoints has predictions on validation .*holds no"):
        read_true_class_pool(Folder(tmp_path), [member(0)], "validation", TABLE)


def test_a_store_that_does_not_answer_leaves_no_member_out(tmp_path: Path) -> None:
    class Silent(Folder):
        def get(self, key: str) -> bytes:
            if key.endswith("truth.arrow"):
                raise StoreError("store runs: no answer within 10 s: try again")
            return super().get(key)

    with pytest.raises(StoreError, match="no answer"):
        read_true_class_pool(Silent(tmp_path), [write(Folder(tmp_path), 1, predict(1))], "validation", TABLE)


def test_of_duplicates_the_first_stays_without_reading_them_whole(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    members = [write(store, number, predict(said)) for number, said in enumerate([1, 2, 1, 1])]
    pool = read_true_class_pool(store, members, "validation", TABLE)
    assert pool.members == (member(0), member(1))
    reason = f"its predictions on validation are those of {member(0)}, bit for bit: the same net has one vote"
    assert pool.left_out == ((member(2), reason), (member(3), reason))
    assert "validation.arrow" not in store.read


def test_who_agrees_on_the_true_class_alone_is_no_duplicate(tmp_path: Path) -> None:
    store, said = Folder(tmp_path), predict(1)
    given = said.probabilities.copy()
    given[1] = [0.1, 0.8, 0.1]  # the true class of this image is the first
    members = [write(store, 0, said), write(store, 1, replace(said, probabilities=given))]
    assert (
        take_true_class(said, LABELS).true_class.tolist()
        == take_true_class(replace(said, probabilities=given), LABELS).true_class.tolist()
    )
    assert read_true_class_pool(store, members, "validation", TABLE).members == tuple(members)
    assert read_pool(store, members, "validation", TABLE, merge=True).members == tuple(members)


def test_the_same_numbers_in_another_file_are_a_duplicate(tmp_path: Path) -> None:
    store, said = Folder(tmp_path), predict(1)
    table = pa.ipc.open_file(pa.BufferReader(to_arrow(said))).read_all()
    other = write_table(table.replace_schema_metadata({**table.schema.metadata, "note": "written elsewhere"}))
    parts = {"validation.arrow": other, "validation-truth.arrow": true_class_to_arrow(GOOD)}
    write_checkpoint(store, member(1), parts)
    members = [write(store, 0, said), member(1)]
    assert read_true_class_pool(store, members, "validation", TABLE).members == (member(0),)
    assert read_pool(store, members, "validation", TABLE, merge=True).members == (member(0),)


def test_scores_are_those_of_the_whole_predictions() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    whole = make_pool(rng.dirichlet(np.full(4, 0.1), (6, 200)), labels)
    pool = take_true_class_pool(whole)
    assert pool.accuracies().tolist() == [accuracy(each.argmax(1), labels) for each in whole.probabilities]
    assert pool.log_losses().tolist() == [log_loss(each, labels) for each in whole.probabilities]


def test_greedy_by_log_loss_picks_the_same_from_true_or_other() -> None:
    rng = np.random.default_rng(1)
    whole = make_pool(rng.dirichlet(np.full(5, 0.3), (30, 100)), rng.integers(0, 5, 100))
    config = EnsembleConfig(select="greedy", metric="log_loss", size=12)
    picked = select(true_or_other(take_true_class_pool(whole)), config)
    assert picked == select(whole, config)
    assert len(picked.members) > 2


def test_a_member_can_be_taken_out_with_the_reason() -> None:
    pool = take_true_class_pool(make_pool([[[0.5, 0.5]], [[1, 0]], [[0, 1]]], [0]))
    rest = pool.without(member(1), "damaged")
    assert rest.members == (member(0), member(2))
    assert rest.probabilities.tolist() == [[0.5], [0]]
    assert rest.left_out == ((member(1), "damaged"),)
    with pytest.raises(MismatchedPredictions, match="has 0 members and 1 images"):
        rest.without(member(0), "").without(member(2), "")


@pytest.mark.parametrize(
    ("members", "truth", "predicted", "message"),
    [
        ((member(0),), np.ones((2, 3), np.float32), np.zeros((2, 3), np.uint8), r"not float32\(1, 3\)"),
        ((member(0),), np.ones((1, 3)), np.zeros((1, 3), np.uint8), r"float64\(1, 3\)"),
        ((member(0),), np.ones((1, 3), np.float32), np.zeros((1, 2), np.uint8), r"\(1, 2\), not"),
        ((member(0),) * 2, np.ones((2, 3), np.float32), np.zeros((2, 3), np.uint8), "twice"),
    ],
)
def test_what_is_no_pool_cannot_be_made(members: tuple, truth: np.ndarray, predicted: np.ndarray, message: str) -> None:
    with pytest.raises(MismatchedPredictions, match=message):
        TrueClassPool("d1", "validation", members, truth, predicted, LABELS, TABLE.class_names)
