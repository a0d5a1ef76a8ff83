"""The names in a store. Changing one makes the stores of the past unreadable, so each is spelled out here again."""

from __future__ import annotations

import pytest

from trainables.store import layout
from trainables.store.keys import is_key


def test_the_names_of_what_a_store_holds() -> None:
    assert layout.FORMAT_KEY == "caucus.json"
    assert layout.data_key("d1", "images.parquet") == "data/d1/images.parquet"
    assert layout.trial_prefix("t1") == "trials/t1/"
    assert layout.config_key("t1") == "trials/t1/config.json"
    assert layout.checkpoint_prefix("t1", 3) == "trials/t1/epoch-0003/"
    assert layout.sweep_prefix("nightly") == "sweeps/nightly/"
    assert layout.latest_key("nightly") == "sweeps/nightly/latest"
    assert layout.run_key("nightly", "2", "status.json") == "sweeps/nightly/2/status.json"
    parts = (layout.MANIFEST, layout.WEIGHTS, layout.OPTIMIZER, layout.METRICS)
    assert parts == ("manifest.json", "weights.safetensors", "optimizer.safetensors", "metrics.json")


def test_each_split_has_a_predictions_file_of_its_own() -> None:
    assert layout.SPLITS == ("train", "validation", "test")
    assert [layout.predictions_part(split) for split in layout.SPLITS] == [
        "train.arrow",
        "validation.arrow",
        "test.arrow",
    ]


@pytest.mark.parametrize("epoch", [1, 27, 9999, 10_000, 123_456])
def test_a_checkpoint_key_gives_its_epoch_back(epoch: int) -> None:
    key = layout.checkpoint_prefix("0f3a", epoch) + layout.MANIFEST
    assert layout.epoch_of(key) == epoch
    assert is_key(key)


@pytest.mark.parametrize("key", ["trials/0f3a/config.json", "trials/0f3a/epoch-12/x", "caucus.json", ""])
def test_other_keys_have_no_epoch(key: str) -> None:
    assert layout.epoch_of(key) is None
