"""Choosing reads a part of the bytes, voting those of the team; the rest stays where it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from benchmarks.stored_run import write_stored_run
from ensembles.config import EnsembleConfig
from ensembles.pool.pool import read_pool
from ensembles.pool.stored import StoredPool, needs_true_class_alone, open_pool
from ensembles.pool.streaming import stream_mean
from ensembles.pool.true_class import true_or_other
from ensembles.selection.select import select
from tests.services.servers import S3Server
from trainables.data.data_table import DataTable, read_data_table
from trainables.errors import MismatchedPredictions
from trainables.results.checkpoint import CheckpointId
from trainables.store import layout
from trainables.store.base import Store, StoredObject
from trainables.store.folder import Folder
from trainables.store.s3 import S3Store

CHECKPOINTS, IMAGES, CLASSES = 40, 500, 10


@dataclass(frozen=True)
class Counted(Store):
    """A store that counts the bytes that are fetched, by part."""

    store: Store
    bytes: Counter[str] = field(default_factory=Counter)
    written: list[str] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return self.store.uri

    def get(self, key: str) -> bytes:
        data = self.store.get(key)
        self.bytes[key.rpartition("/")[2] if "/means/" not in key else "mean"] += len(data)
        return data

    def stat(self, key: str) -> StoredObject | None:
        return self.store.stat(key)

    def put(self, key: str, data: bytes) -> StoredObject:
        self.written.append(key)
        return self.store.put(key, data)


def members_of(store: Store) -> tuple[list[CheckpointId], DataTable]:
    (data_id,) = store.folders("data/")
    members = [CheckpointId(trial, 1) for trial in store.folders(layout.TRIALS)]
    return members, read_data_table(store, data_id)


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    store = Folder(tmp_path)
    write_stored_run(store, CHECKPOINTS, IMAGES, CLASSES)
    return Counted(store)


def choose(counted: Counted, config: EnsembleConfig) -> tuple[StoredPool, tuple[CheckpointId, ...]]:
    """Open the pool, choose, and read the team on both splits."""
    pool = open_pool(counted, *members_of(counted.store))
    team = select(true_or_other(pool.true_class), config).members
    for split in ("validation", "test"):
        pool.read(team, split)
    return pool, team


def test_choosing_reads_one_column_and_voting_the_team(counted: Counted) -> None:
    _, team = choose(counted, EnsembleConfig(size=4))
    files = [counted.store.stat(team[0].key(f"{split}.arrow")) for split in ("validation", "test")]
    assert counted.bytes["validation.arrow"] == len(team) * files[0].size_bytes
    assert counted.bytes["test.arrow"] == len(team) * files[1].size_bytes
    assert counted.bytes["validation-truth.arrow"] < 0.2 * CHECKPOINTS * files[0].size_bytes


def test_the_team_is_the_one_that_the_whole_pool_would_give(counted: Counted) -> None:
    config = EnsembleConfig(size=6)
    members, table = members_of(counted.store)
    whole = read_pool(counted.store, members, "validation", table, merge=True)
    pool, team = choose(counted, config)
    assert team == select(whole, config).members
    assert pool.members == whole.members


def test_members_are_read_in_the_order_of_the_pool(counted: Counted) -> None:
    pool = open_pool(counted, *members_of(counted.store))
    assert pool.read(pool.members[5:2:-1], "test").members == pool.members[3:6]


def test_the_mean_of_all_is_read_file_by_file_once_and_then_kept(counted: Counted) -> None:
    members, table = members_of(counted.store)
    first = open_pool(counted, members, table)
    mean = first.mean("test")
    assert first.mean("test") is mean
    np.testing.assert_array_equal(mean.probabilities, stream_mean(counted.store, members, "test", table).probabilities)
    assert counted.written == []
    first.save_means()
    counted.bytes.clear()
    again = open_pool(counted, members, table)
    np.testing.assert_array_equal(again.mean("test").probabilities, mean.probabilities)
    assert again.mean("test").members == mean.members
    assert counted.bytes["test.arrow"] == 0
    assert counted.bytes["mean"] > 8 * IMAGES * CLASSES
    again.save_means()
    assert len(counted.written) == 1


def test_the_mean_of_others_is_not_taken_for_theirs(counted: Counted) -> None:
    members, table = members_of(counted.store)
    kept = open_pool(counted, members, table)
    kept.mean("test")
    kept.save_means()
    fewer = open_pool(counted, members[1:], table)
    np.testing.assert_array_equal(
        fewer.mean("test").probabilities, stream_mean(counted.store, members[1:], "test", table).probabilities
    )
    counted.bytes.clear()
    open_pool(counted, members, table).mean("validation")
    assert counted.bytes["validation.arrow"] > 0


def test_a_damaged_mean_is_made_again(counted: Counted) -> None:
    members, table = members_of(counted.store)
    kept = open_pool(counted, members, table)
    mean = kept.mean("test").probabilities
    kept.save_means()
    whole = counted.store.get(counted.written[0])
    place = whole.index(mean[0].tobytes())
    counted.store.put(counted.written[0], whole[:place] + b"\0\0\0\0" + whole[place + 4 :])
    again = open_pool(counted, members, table)
    np.testing.assert_array_equal(again.mean("test").probabilities, mean)


def test_a_mean_that_lacks_somebody_is_not_kept(counted: Counted) -> None:
    members, table = members_of(counted.store)
    counted.store.put(members[3].key("test.arrow"), b"damaged")
    pool = open_pool(counted, members, table)
    assert [name for name, _ in pool.mean("test").left_out] == [members[3]]
    pool.save_means()
    assert counted.written == []


def test_damage_that_choosing_could_not_see_is_named_when_the_member_is_read(counted: Counted) -> None:
    members, table = members_of(counted.store)
    counted.store.put(members[3].key("validation.arrow"), b"damaged")
    pool = open_pool(counted, members, table)
    assert members[3] in pool.members
    assert pool.read(members[2:5], "validation").left_out[0][0] == members[3]
    with pytest.raises(MismatchedPredictions, match="not what its manifest promises"):
        pool.read([members[3]], "validation")


def test_who_is_damaged_is_found_and_taken_out(counted: Counted) -> None:
    members, table = members_of(counted.store)
    pool = open_pool(counted, members, table)
    assert pool.damaged("validation") == ()
    for lost in (members[3], members[7]):
        counted.store.put(lost.key("validation.arrow"), b"damaged")
    found = pool.damaged("validation")
    assert [member for member, _ in found] == [members[3], members[7]]
    rest = pool.without(found)
    assert rest.members == (*members[:3], *members[4:7], *members[8:])
    assert rest.true_class.left_out == found
    assert rest.mean("validation").left_out == ()


@pytest.mark.parametrize(
    ("changed", "truth_alone"),
    [
        ({}, True),
        ({"select": "greedy-once"}, True),
        ({"size": 50}, True),
        ({"metric": "accuracy"}, False),
        ({"select": "cma-es"}, False),
        ({"ties": "autogluon"}, False),
        ({"diverse": True}, False),
        ({"start": 2}, False),
    ],
)
def test_only_rules_that_need_nothing_else_select_from_the_true_class(changed: dict, truth_alone: bool) -> None:
    assert (
        needs_true_class_alone(EnsembleConfig(**{"select": "greedy", "metric": "log_loss", **changed})) == truth_alone
    )


def test_a_bucket_is_asked_for_no_more_than_a_folder(
    tmp_path: Path, weed_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    weed_s3.login(monkeypatch)
    bucket = S3Store(weed_s3.new_bucket(), "runs")
    write_stored_run(bucket, 12, IMAGES, CLASSES)
    whole = sum(found.size_bytes for found in bucket.find("trials/") if found.key.endswith("/validation.arrow"))
    fetched = Counted(bucket)
    _, team = choose(fetched, EnsembleConfig(size=2))
    assert fetched.bytes["validation-truth.arrow"] < 0.2 * whole
    assert fetched.bytes["validation.arrow"] == len(team) * whole / 12
    assert set(fetched.bytes) == {"manifest.json", "validation-truth.arrow", "validation.arrow", "test.arrow"}
    folder = Folder(tmp_path)
    write_stored_run(folder, 12, IMAGES, CLASSES)
    local = Counted(folder)
    assert choose(local, EnsembleConfig(size=2))[1] == team
    assert local.bytes == fetched.bytes
