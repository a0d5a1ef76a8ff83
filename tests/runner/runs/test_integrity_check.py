"""Each object that a manifest of a run names is verified."""

from __future__ import annotations

import pytest

from runner.runs import integrity_check
from runner.runs.integrity_check import invalidate, restore_configs, verify_checkpoints
from tests.sample_runs.sample_run import write_sample_run
from trainables.errors import StoreError
from trainables.results.checkpoint import CheckpointId, committed_epochs, read_promises
from trainables.store import layout


@pytest.fixture
def sample(tmp_path):
    return write_sample_run(tmp_path)


def verify(sample, **options):
    return verify_checkpoints(sample.store, sample.state.trials.values(), **options)


def newest(sample):
    record = next(record for record in sample.state.trials.values() if record.epochs)
    return CheckpointId(record.trial_id, record.epochs[-1].epoch)


def test_a_run_whose_objects_are_all_there_is_verified(sample):
    found = verify(sample)
    epochs = sum(len(record.epochs) for record in sample.state.trials.values())
    assert (found.checkpoints, dict(found.broken), found.lost, found.is_hashed) == (epochs, {}, {}, True)
    assert found.size_bytes > 0


@pytest.mark.parametrize("damage", ["flip", "cut", "delete"])
def test_every_part_of_a_checkpoint_is_checked(sample, damage):
    member = newest(sample)
    parts = read_promises(sample.store, member)
    assert len(parts) >= 3
    for part in parts:
        key = member.key(part)
        data = sample.store.get(key)
        if damage == "delete":
            sample.store.delete(key)
        else:
            sample.store.put(key, data[:-1] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
        found = verify(sample)
        assert found.lost == {member.trial_id: {member.epoch}}
        assert part in found.broken[member]
        sample.store.put(key, data)
    assert verify(sample).lost == {}


def test_a_checkpoint_without_its_manifest_is_lost(sample):
    member = newest(sample)
    sample.store.delete(member.key(layout.MANIFEST))
    found = verify(sample)
    assert found.broken == {member: f"checkpoint {member} is not in {sample.store.uri}"}


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"parts": {}}'])
def test_a_manifest_that_promises_nothing_verifies_nothing(sample, content):
    member = newest(sample)
    sample.store.put(member.key(layout.MANIFEST), content)
    assert verify(sample).lost == {member.trial_id: {member.epoch}}


def test_what_was_deleted_on_purpose_is_not_missed(sample):
    member = newest(sample)
    sample.store.delete(member.key(layout.MANIFEST))
    assert verify(sample, deleted={member.trial_id: {member.epoch}}).lost == {}


def test_of_large_runs_sizes_are_compared(sample, monkeypatch):
    monkeypatch.setattr(integrity_check, "HASHED_BYTES", 1)
    member = newest(sample)
    assert (verify(sample).lost, verify(sample).is_hashed) == ({}, False)
    sample.store.delete(member.key(layout.METRICS))
    assert verify(sample).lost == {member.trial_id: {member.epoch}}


def test_the_configurations_of_trials_are_written_again_where_they_are_not_whole(sample):
    records = [record for record in sample.state.trials.values() if record.epochs]
    restore_configs(sample.store, records)
    keys = [layout.config_key(record.trial_id) for record in records]
    before = {key: sample.store.get(key) for key in keys}
    sample.store.delete(keys[0])
    sample.store.put(keys[1], before[keys[1]].replace(b"0.003", b"0.007"))
    restore_configs(sample.store, records)
    assert {key: sample.store.get(key) for key in keys} == before


def test_what_is_given_up_counts_as_never_trained(sample):
    member = newest(sample)
    invalidate(sample.store, [member])
    assert member.epoch not in committed_epochs(sample.store, member.trial_id)
    invalidate(sample.store, [member])  # once more is no error


def test_where_nothing_may_be_deleted_what_is_broken_stays(sample, monkeypatch):
    member = newest(sample)

    def refuse(self, key):
        raise StoreError("access denied")

    monkeypatch.setattr(type(sample.store), "delete", refuse)
    invalidate(sample.store, [member])
    assert member.epoch in committed_epochs(sample.store, member.trial_id)
