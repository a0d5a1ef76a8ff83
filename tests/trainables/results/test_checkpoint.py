"""A checkpoint exists when its manifest does, and is verified by it."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from trainables.errors import DamagedObject, MismatchedPredictions, ObjectMissing, StoreError
from trainables.results.checkpoint import (
    CheckpointId,
    committed,
    committed_epochs,
    is_whole,
    manifest_bytes,
    read_part,
    read_predictions,
    why_not_understood,
    write_checkpoint,
)
from trainables.results.predictions import Predictions, to_arrow
from trainables.store import layout
from trainables.store.base import StoredObject, sha256_of
from trainables.store.folder import Folder
from trainables.store.json_records import get_json

PARTS = {"weights.safetensors": b"weights", "metrics.json": b"{}"}


@dataclass(frozen=True)
class Stubborn(Folder):
    """Keeps the order of its writes, and refuses from the one numbered `refuses` on."""

    refuses: int = 99
    order: list[str] = field(default_factory=list)

    def put(self, key: str, data: bytes) -> StoredObject:
        self.take(key)
        return super().put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self.take(key)
        return super().create(key, data)

    def take(self, key: str) -> None:
        self.order.append(key)
        if len(self.order) > self.refuses:
            raise StoreError("store runs: no space left on device")


def test_a_checkpoint_reads_back_part_by_part(tmp_path: Path) -> None:
    store, checkpoint = Folder(tmp_path), CheckpointId("0f3a", 2)
    write_checkpoint(store, checkpoint, PARTS)
    assert read_part(store, checkpoint, "weights.safetensors") == b"weights"
    assert read_part(store, checkpoint, "metrics.json") == b"{}"
    assert get_json(store, "trials/0f3a/epoch-0002/manifest.json") == {
        "trial_id": "0f3a",
        "epoch": 2,
        "parts": {
            "weights.safetensors": {"size_bytes": 7, "sha256": sha256_of(b"weights")},
            "metrics.json": {"size_bytes": 2, "sha256": sha256_of(b"{}")},
        },
    }


def test_the_size_of_a_manifest_follows_from_names_and_sizes(tmp_path: Path) -> None:
    store, checkpoint = Folder(tmp_path), CheckpointId("0f3a", 2)
    write_checkpoint(store, checkpoint, PARTS)
    written = store.get(checkpoint.key("manifest.json"))
    sizes = {name: len(data) for name, data in PARTS.items()}
    assert manifest_bytes(checkpoint, sizes) == len(written)
    assert manifest_bytes(checkpoint, {**sizes, "shards.json": 2}) != len(written)
    assert why_not_understood(written, "") == ""


def test_the_manifest_is_written_last(tmp_path: Path) -> None:
    store = Stubborn(tmp_path)
    write_checkpoint(store, CheckpointId("0f3a", 2), PARTS)
    assert [Path(key).name for key in store.order] == ["weights.safetensors", "metrics.json", "manifest.json"]


@pytest.mark.parametrize("refuses", [0, 1, 2])
def test_a_checkpoint_that_was_cut_off_is_not_there(tmp_path: Path, refuses: int) -> None:
    checkpoint = CheckpointId("0f3a", 2)
    with pytest.raises(StoreError, match="no space left"):
        write_checkpoint(Stubborn(tmp_path, refuses=refuses), checkpoint, PARTS)
    store = Folder(tmp_path)
    assert committed_epochs(store, "0f3a") == []
    with pytest.raises(ObjectMissing):
        read_part(store, checkpoint, "weights.safetensors")


def test_a_cut_off_checkpoint_can_be_written_again(tmp_path: Path) -> None:
    checkpoint = CheckpointId("0f3a", 2)
    with pytest.raises(StoreError):
        write_checkpoint(Stubborn(tmp_path, refuses=1), checkpoint, {"weights.safetensors": b"half"})
    write_checkpoint(Folder(tmp_path), checkpoint, PARTS)
    assert read_part(Folder(tmp_path), checkpoint, "weights.safetensors") == b"weights"


@dataclass(frozen=True)
class InTurn(Folder):
    """Lets two threads at it one call at a time, in the order of `turns`; when those are used up, as they come."""

    turns: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    """Threads that call no more: their turns are skipped."""
    moved: threading.Condition = field(default_factory=threading.Condition)

    def wait(self) -> None:
        me = threading.current_thread().name
        with self.moved:
            assert self.moved.wait_for(lambda: not self.turns or self.turns[0] in (me, *self.ended), 10)
            while self.turns and self.turns.pop(0) != me:
                pass
            self.moved.notify_all()

    def end(self) -> None:
        with self.moved:
            self.ended.add(threading.current_thread().name)
            self.moved.notify_all()

    def put(self, key: str, data: bytes) -> StoredObject:
        self.wait()
        return super().put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self.wait()
        return super().create(key, data)

    def stat(self, key: str) -> StoredObject | None:
        self.wait()
        return super().stat(key)

    def get(self, key: str) -> bytes:
        self.wait()
        return super().get(key)


def test_two_workers_that_write_the_same_checkpoint_leave_a_whole_one_in_any_order(tmp_path: Path) -> None:
    orders = [tuple(turn in own for turn in range(8)) for own in itertools.combinations(range(8), 4)]
    assert len(orders) == 70
    broken = [order for at, order in enumerate(orders) if not is_whole_after(order, tmp_path / str(at))]
    assert broken == []


def is_whole_after(order: tuple[bool, ...], folder: Path) -> bool:
    """Whether a checkpoint is whole that two have written, whose calls to the store came in this order."""
    folder.mkdir()
    checkpoint = CheckpointId("0f3a", 2)
    store = InTurn(folder, turns=["orphan" if own else "heir" for own in order])

    def write(name: str) -> None:
        try:
            write_checkpoint(store, checkpoint, {"timing.json": name.encode()})
        finally:
            store.end()

    threads = [threading.Thread(target=write, args=(name,), name=name) for name in ("orphan", "heir")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return is_whole(Folder(folder), checkpoint)


@pytest.mark.parametrize("stored", [b"Weights", b"weight", b"weights and more", b""])
def test_bytes_that_changed_are_not_handed_out(tmp_path: Path, stored: bytes) -> None:
    store, checkpoint = Folder(tmp_path, "runs"), CheckpointId("0f3a", 2)
    write_checkpoint(store, checkpoint, PARTS)
    store.put(checkpoint.key("weights.safetensors"), stored)
    with pytest.raises(DamagedObject, match=rf"epoch-0002/weights\.safetensors .*\({len(stored)} bytes of 7\)"):
        read_part(store, checkpoint, "weights.safetensors")
    assert read_part(store, checkpoint, "metrics.json") == b"{}"


@pytest.mark.parametrize("parts", [{}, [], None, {"weights.safetensors": 7}])
def test_a_manifest_that_promises_nothing_gives_nothing(tmp_path: Path, parts: object) -> None:
    store, checkpoint = Folder(tmp_path), CheckpointId("0f3a", 2)
    write_checkpoint(store, checkpoint, PARTS)
    store.put(checkpoint.key(layout.MANIFEST), json.dumps({"parts": parts}).encode())
    with pytest.raises(ObjectMissing, match=r"checkpoint 0f3a@2 in .* has no weights\.safetensors"):
        read_part(store, checkpoint, "weights.safetensors")


def test_epochs_are_listed_in_the_order_of_numbers(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    for epoch in (10_000, 2, 999):
        write_checkpoint(store, CheckpointId("0f3a", epoch), PARTS)
    store.put("trials/0f3a/config.json", b"{}")
    store.put("trials/0f3a/epoch-0003/weights.safetensors", b"no manifest")
    write_checkpoint(store, CheckpointId("0f3ab", 7), PARTS)
    assert committed_epochs(store, "0f3a") == [2, 999, 10_000]
    assert committed_epochs(store, "never") == []
    assert committed(store, ["0f3ab", "never", "0f3a"]) == [
        CheckpointId("0f3a", 2),
        CheckpointId("0f3a", 999),
        CheckpointId("0f3a", 10_000),
        CheckpointId("0f3ab", 7),
    ]


def test_predictions_come_from_the_file_of_their_split(tmp_path: Path) -> None:
    store, checkpoint = Folder(tmp_path), CheckpointId("0f3a", 1)
    said = {
        split: Predictions("d1", split, "ab" * 32, np.arange(1, dtype=np.int32), np.array([row], np.float32))
        for split, row in {"validation": [0.25, 0.75], "test": [1.0, 0.0]}.items()
    }
    write_checkpoint(store, checkpoint, {f"{split}.arrow": to_arrow(each) for split, each in said.items()})
    assert read_predictions(store, checkpoint, "validation").probabilities.tolist() == [[0.25, 0.75]]
    assert read_predictions(store, checkpoint, "test").split == "test"
    with pytest.raises(ObjectMissing, match=r"has no train\.arrow"):
        read_predictions(store, checkpoint, "train")


def test_a_predictions_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    write_checkpoint(Folder(tmp_path), CheckpointId("0f3a", 1), {"test.arrow": b"?"})
    with pytest.raises(MismatchedPredictions):
        read_predictions(Folder(tmp_path), CheckpointId("0f3a", 1), "test")
