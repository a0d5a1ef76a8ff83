"""Checkpoints are written beside the training: in order, one at a time, and no failure is swallowed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.trainables.store.unwilling_stores import A_MOMENT_S, PATIENCE_S, Gated, Refusing, beside
from trainables.errors import StoreError
from trainables.results.checkpoint import CheckpointId, committed_epochs, read_part
from trainables.results.committer import Committer
from trainables.store.folder import Folder

PARTS = {"weights.safetensors": b"weights", "metrics.json": b"{}"}


def names_of(epoch: int) -> list[str]:
    return [f"trials/0f3a/epoch-{epoch:04d}/{part}" for part in (*PARTS, "manifest.json")]


def test_a_checkpoint_is_written_while_the_training_goes_on(tmp_path: Path) -> None:
    store = Gated(tmp_path)
    committer = Committer(store)
    try:
        committer.commit(CheckpointId("0f3a", 1), PARTS)  # returns though the store takes nothing yet
        assert store.reached.wait(PATIENCE_S)
        assert not store.order
        store.gate.set()
        committer.flush()
        assert store.order == names_of(1)
        assert threading.current_thread() not in store.writers
    finally:
        store.gate.set()
        committer.close()


def test_checkpoints_are_stored_one_after_the_other_in_the_order_they_were_handed_over(tmp_path: Path) -> None:
    store = Gated(tmp_path)
    store.gate.set()
    committer = Committer(store)
    for epoch in (3, 1, 2):
        committer.commit(CheckpointId("0f3a", epoch), PARTS)
    committer.close()
    assert store.order == names_of(3) + names_of(1) + names_of(2)
    assert len(store.writers) == 1
    assert committed_epochs(store, "0f3a") == [1, 2, 3]
    assert read_part(store, CheckpointId("0f3a", 2), "weights.safetensors") == b"weights"


def test_the_next_checkpoint_waits_until_the_one_before_is_stored(tmp_path: Path) -> None:
    store = Gated(tmp_path)
    committer = Committer(store)
    try:
        committer.commit(CheckpointId("0f3a", 1), PARTS)
        with beside(lambda: committer.commit(CheckpointId("0f3a", 2), PARTS)) as handed_over:
            assert not handed_over.wait(A_MOMENT_S)
            store.gate.set()
        assert handed_over.is_set()
        assert store.order[: len(names_of(1))] == names_of(1)
    finally:
        store.gate.set()
        committer.close()


@pytest.mark.parametrize("verb", ["flush", "close"])
def test_flush_and_close_wait_until_everything_is_stored(tmp_path: Path, verb: str) -> None:
    store = Gated(tmp_path)
    committer = Committer(store)
    try:
        committer.commit(CheckpointId("0f3a", 1), PARTS)
        with beside(getattr(committer, verb)) as returned:
            assert store.reached.wait(PATIENCE_S)
            assert not returned.wait(A_MOMENT_S)
            store.gate.set()
        assert returned.is_set()
        assert committed_epochs(store, "0f3a") == [1]
    finally:
        store.gate.set()
        committer.close()


@pytest.mark.parametrize("verb", ["flush", "close"])
def test_with_nothing_handed_over_flush_and_close_return_at_once(tmp_path: Path, verb: str) -> None:
    committer = Committer(Folder(tmp_path))
    getattr(committer, verb)()
    committer.close()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_comes_out_of_the_next_commit_and_only_once(tmp_path: Path) -> None:
    store = Refusing(tmp_path, refused=["epoch-0001"])
    committer = Committer(store)
    committer.commit(CheckpointId("0f3a", 1), PARTS)
    with pytest.raises(StoreError, match=r"epoch-0001/weights\.safetensors was not taken"):
        committer.commit(CheckpointId("0f3a", 2), PARTS)
    committer.commit(CheckpointId("0f3a", 3), PARTS)
    committer.close()
    assert committed_epochs(store, "0f3a") == [3]  # 2 was never begun: its caller knows, and trains it again


@pytest.mark.parametrize("verb", ["flush", "close"])
def test_a_failed_write_comes_out_of_flush_and_close(tmp_path: Path, verb: str) -> None:
    committer = Committer(Refusing(tmp_path, refused=["epoch-0001"]))
    committer.commit(CheckpointId("0f3a", 1), PARTS)
    with pytest.raises(StoreError, match=r"epoch-0001/weights\.safetensors was not taken"):
        getattr(committer, verb)()
    committer.flush()
    committer.close()


@pytest.mark.parametrize("refused", [[], ["epoch-0001"]])
def test_close_ends_the_thread_even_where_the_last_write_failed(tmp_path: Path, refused: list[str]) -> None:
    before = set(threading.enumerate())
    committer = Committer(Refusing(tmp_path, refused=refused))
    committer.commit(CheckpointId("0f3a", 1), PARTS)
    assert set(threading.enumerate()) - before
    if refused:
        with pytest.raises(StoreError, match="was not taken"):
            committer.close()
    else:
        committer.close()
    assert set(threading.enumerate()) == before
