from dataclasses import replace

import numpy as np
import pytest

from trainables.data.pseudo_table import PseudoTable, read_pseudo_table, write_pseudo_table
from trainables.errors import DamagedObject, DataError, ObjectMissing
from trainables.store import layout
from trainables.store.folder import Folder


def make_table(count: int = 5, seed: int = 0) -> PseudoTable:
    rng = np.random.default_rng(seed)
    return PseudoTable(
        data_id="0123456789abcdef",
        pixels=rng.integers(0, 256, (count, 4, 3, 2), dtype=np.uint8),
        labels=rng.integers(0, 3, count),
        confidence=rng.uniform(0.9, 1, count).astype(np.float32),
        agreeing=rng.integers(3, 6, count),
        image_ids=tuple(f"unlabelled/{number}" for number in range(count)),
    )


@pytest.fixture
def store(tmp_path):
    return Folder(tmp_path, "runs")


def test_a_table_comes_back_as_it_was(store):
    table = make_table()
    found = read_pseudo_table(store, table.data_id, write_pseudo_table(store, table))
    for column in ("pixels", "labels", "confidence", "agreeing"):
        assert np.array_equal(getattr(found, column), getattr(table, column))
        assert getattr(found, column).dtype == getattr(table, column).dtype
    assert (found.image_ids, found.data_id) == (table.image_ids, table.data_id)


def test_its_name_follows_from_its_content(store):
    table = make_table()
    name = write_pseudo_table(store, table)
    assert write_pseudo_table(store, make_table()) == name
    other = table.labels.copy()
    other[2] += 1
    assert write_pseudo_table(store, replace(table, labels=other)) != name
    assert len(store.find("data/")) == 2
    assert store.stat(f"data/{table.data_id}/pseudo/{name}.parquet") is not None


def test_one_that_is_there_is_not_written_again(store, monkeypatch):
    name = write_pseudo_table(store, make_table())
    monkeypatch.setattr(Folder, "put", lambda *_: pytest.fail("written again"))
    assert write_pseudo_table(store, make_table()) == name


@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_damage_is_noticed_and_repaired_by_writing_again(store, damage):
    table = make_table()
    name = write_pseudo_table(store, table)
    key = layout.pseudo_key(table.data_id, name)
    whole = store.get(key)
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    store.put(key, {"cut": whole[:-1], "changed": bytes(changed), "other": b""}[damage])
    with pytest.raises(DamagedObject, match=f"pseudo/{name}.parquet is damaged .* run the sweep again"):
        read_pseudo_table(store, table.data_id, name)
    assert write_pseudo_table(store, table) == name
    assert store.get(key) == whole


def test_one_that_was_never_written_is_missing(store):
    with pytest.raises(ObjectMissing):
        read_pseudo_table(store, "0123456789abcdef", "0" * 16)


def test_a_table_is_valid_by_construction():
    table = make_table()
    with pytest.raises(DataError, match="not uint8"):
        replace(table, pixels=table.pixels.astype(np.float32))
    with pytest.raises(DataError, match="at least one image"):
        make_table(0)
    with pytest.raises(DataError, match="columns of"):
        replace(table, labels=table.labels[:-1])
    with pytest.raises(DataError, match="same id"):
        replace(table, image_ids=("a",) * 5)
    with pytest.raises(DataError, match="pseudo-label is -1"):
        replace(table, labels=table.labels * 0 - 1)
