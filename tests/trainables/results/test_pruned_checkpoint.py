"""The name of a pruned checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables.errors import DamagedObject
from trainables.results.checkpoint import CheckpointId, committed_epochs, read_part, write_checkpoint
from trainables.results.pruned_checkpoint import PrunedId
from trainables.store.folder import Folder

PRUNED = PrunedId("0123456789ab", 12, "channel", 0.95, 3)


def test_it_lies_beside_the_epochs_of_its_trial() -> None:
    assert str(PRUNED) == "0123456789ab@12-channel-0.95-3"
    assert PRUNED.key("weights.safetensors") == "trials/0123456789ab/pruned/0012-channel-0.95-3/weights.safetensors"
    assert CheckpointId("0123456789ab", 12) != PRUNED
    assert (
        len({PRUNED, PrunedId("0123456789ab", 12, "channel", 0.9, 3), PrunedId("0123456789ab", 12, "channel", 0.95, 5)})
        == 3
    )


def test_it_is_read_as_any_checkpoint_but_is_no_epoch_of_its_trial(tmp_path: Path) -> None:
    store = Folder(tmp_path, "runs")
    write_checkpoint(store, CheckpointId("0123456789ab", 2), {"weights.safetensors": b"dense"})
    write_checkpoint(store, PRUNED, {"weights.safetensors": b"sparse"})
    assert read_part(store, PRUNED, "weights.safetensors") == b"sparse"
    assert committed_epochs(store, "0123456789ab") == [2]
    store.put(PRUNED.key("weights.safetensors"), b"spars!")
    with pytest.raises(DamagedObject):
        read_part(store, PRUNED, "weights.safetensors")
