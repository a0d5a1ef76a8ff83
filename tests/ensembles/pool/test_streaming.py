"""One pass over the candidates gives what holding them all would."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ensembles.pool.pool import read_pool
from ensembles.pool.streaming import stream, stream_mean
from ensembles.voting.vote import vote
from tests.ensembles.samples import CLASSES, make_team, member
from trainables.data.data_table import DataTable
from trainables.errors import MismatchedPredictions, StoreError
from trainables.results.checkpoint import CheckpointId, write_checkpoint
from trainables.results.predictions import Predictions, to_arrow
from trainables.store.folder import Folder

IMAGES = 300
TABLE = DataTable(
    "d1",
    "tiny",
    CLASSES,
    tuple(map(str, range(IMAGES))),
    np.arange(IMAGES) % 10,
    np.repeat(np.array([2], np.int8), IMAGES),
)


def write_members(store: Folder, count: int) -> list[CheckpointId]:
    """Checkpoints of different skill on test."""
    rng, rows = np.random.default_rng(0), np.arange(IMAGES, dtype=np.int32)
    for number in range(count):
        shares = rng.dirichlet(np.ones(10), IMAGES)
        shares[np.arange(IMAGES), TABLE.labels] += 0.3 * rng.random()
        shares = (shares / shares.sum(1, keepdims=True)).astype(np.float32)
        said = Predictions("d1", "test", TABLE.labels_sha256("test"), rows, shares)
        write_checkpoint(store, member(number), {"test.arrow": to_arrow(said)})
    return [member(number) for number in range(count)]


def test_the_mean_is_the_soft_vote_of_all_to_the_bit(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    members = write_members(store, 25)
    found = stream_mean(store, members, "test", TABLE)
    ballot = vote(read_pool(store, members, "test", TABLE), make_team(*[1 / 25] * 25), "soft")
    assert found.members == tuple(members)
    assert found.left_out == ()
    np.testing.assert_array_equal(found.probabilities, ballot.probabilities)


def test_a_weighted_mean_is_the_weighted_vote(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    members = write_members(store, 3)
    found = stream_mean(store, members, "test", TABLE, weights=(0.5, 0.25, 0.25))
    ballot = vote(read_pool(store, members, "test", TABLE), make_team(0.5, 0.25, 0.25), "weighted")
    np.testing.assert_allclose(found.probabilities, ballot.probabilities, rtol=1e-14)


def test_who_cannot_be_used_is_named_and_does_not_count(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    members = write_members(store, 4)
    without = stream_mean(store, [members[0], members[2]], "test", TABLE)
    weighted = stream_mean(store, [members[0], members[2]], "test", TABLE, weights=(0.75, 0.25))
    store.put(member(1).key("test.arrow"), b"damaged")
    found = stream_mean(store, [*members[:3], member(9)], "test", TABLE)
    assert found.members == (member(0), member(2))
    assert [name for name, _ in found.left_out] == [member(1), member(9)]
    assert "not what its manifest promises" in found.left_out[0][1]
    np.testing.assert_array_equal(found.probabilities, without.probabilities)
    found = stream_mean(store, members[:3], "test", TABLE, weights=(0.6, 0.2, 0.2))
    np.testing.assert_allclose(found.probabilities, weighted.probabilities, rtol=1e-14)
    with pytest.raises(MismatchedPredictions, match="none of 1 checkpoints has predictions on test"):
        stream_mean(store, [member(1)], "test", TABLE)


def test_a_stream_holds_a_few_files_and_no_more(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    members = write_members(store, 60)
    stream_mean(store, members[:5], "test", TABLE)
    tracemalloc.start()
    stream_mean(store, members, "test", TABLE, readers=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.4 * 60 * 10 * 4 * IMAGES


def test_a_store_that_gives_out_on_the_way_ends_the_stream(tmp_path: Path) -> None:
    class Tired(Folder):
        def get(self, key: str) -> bytes:
            if member(7).trial_id in key:
                raise StoreError("store runs: no answer")
            return super().get(key)

    members = write_members(Folder(tmp_path), 20)
    found = stream(Tired(tmp_path), members, "test", TABLE)
    assert [next(found)[0] for _ in range(7)] == members[:7]
    with pytest.raises(StoreError, match="no answer"):
        next(found)


def test_a_stream_can_be_left_before_its_end(tmp_path: Path) -> None:
    members = write_members(Folder(tmp_path), 20)
    read = []

    class CountingFolder(Folder):
        def get(self, key: str) -> bytes:
            read.append(key)
            return super().get(key)

    found = stream(CountingFolder(tmp_path), members, "test", TABLE, readers=2)
    assert next(found)[0] == member(0)
    found.close()  # type: ignore[attr-defined]
    assert len(read) < 12
