"""What was read back once is compared with a listing afterwards: nothing whole is read again, nothing damaged is missed."""

from __future__ import annotations

import random

import pytest

from benchmarks.requests import counting
from runner.runs import verified
from runner.runs.integrity_check import verify_run
from runner.runs.verified import Verified, read_verified
from tests.sample_runs.damage import HARMS
from tests.sample_runs.sample_run import write_sample_run
from trainables.results.checkpoint import CheckpointId, read_promises
from trainables.store import layout
from trainables.store.json_records import to_json


def verify(bucket, **options):
    store, sample, _ = bucket
    return verify_run(store, "dots", sample.run_id, sample.state.trials.values(), {}, **options)


def members(sample):
    return [CheckpointId(one.trial_id, epoch.epoch) for one in sample.state.trials.values() for epoch in one.epochs]


def test_what_was_read_back_is_not_read_again(bucket):
    _store, sample, behind = bucket
    for key in behind.names():
        if key.endswith(layout.VERIFIED):
            behind.delete(key)
    assert verify(bucket).read == len(members(sample)) > 5
    verify(bucket)  # of configurations that were missing until now
    with counting() as asked:
        again = verify(bucket)
    assert (again.read, again.lost, again.checkpoints) == (0, {}, len(members(sample)))
    assert (asked.of("LIST"), asked.of("GET"), asked.total) == (1, 1, 2)  # of all trials, and the record
    assert {check.is_read for check in again.whole.values()} == {True}


def test_all_is_read_again_where_a_person_asks_for_it(bucket):
    verify(bucket)
    assert verify(bucket, verify=True).read == len(members(bucket[1]))
    assert verify(bucket).read == 0


@pytest.mark.long
@pytest.mark.parametrize("harm", HARMS)
def test_a_damage_after_the_verification_is_noticed_in_every_part(bucket, harm):
    store, sample, behind = bucket
    verify(bucket)
    member, dice = members(sample)[1], random.Random(3)
    for part in [*read_promises(store, member), layout.MANIFEST]:
        whole = behind.harm(member.key(part), harm, dice)
        found = verify(bucket)
        assert found.lost == {member.trial_id: {member.epoch}}, part
        assert found.read == 1  # nothing else was
        behind.write(member.key(part), whole)
        assert verify(bucket).lost == {}


@pytest.mark.long
def test_a_configuration_that_is_damaged_after_the_verification_is_written_again(bucket):
    store, sample, behind = bucket
    verify(bucket)
    key = layout.config_key(members(sample)[0].trial_id)
    whole = store.get(key)
    for harm in HARMS:
        behind.harm(key, harm, random.Random(5))
        verify(bucket)
        assert store.get(key) == whole
    verify(bucket)
    with counting() as asked:
        verify(bucket)
    assert asked.of("GET") == 1


@pytest.mark.long
@pytest.mark.parametrize("age_s", [verified.VERIFIED_S + 60, -verified.AHEAD_S - 60])
def test_what_was_read_too_long_ago_or_in_the_future_is_read_again(bucket, monkeypatch, age_s):
    verify(bucket, verify=True)
    now_s = verified.time.time()
    monkeypatch.setattr(verified.time, "time", lambda: now_s + age_s)
    assert verify(bucket).read == len(members(bucket[1]))


@pytest.mark.long
@pytest.mark.parametrize(
    "record",
    [
        b"{",
        to_json({"trials": {"a": 1}}),
        to_json({"trials": {"a": {"epochs": {"x": 1}}}}),
    ],
)
def test_a_record_that_cannot_be_understood_verifies_nothing(bucket, record):
    store, sample, _ = bucket
    verify(bucket)
    store.put(layout.run_key("dots", sample.run_id, layout.VERIFIED), record)
    assert read_verified(store, "dots", sample.run_id) == Verified()
    found = verify(bucket)
    assert (found.read, found.lost) == (len(members(sample)), {})


@pytest.mark.long
def test_a_record_with_a_flipped_bit_verifies_nothing(bucket):
    store, sample, behind = bucket
    verify(bucket)
    key = layout.run_key("dots", sample.run_id, layout.VERIFIED)
    whole, dice = store.get(key), random.Random(1)
    for _ in range(6):
        behind.write(key, whole)
        behind.harm(key, "flip", dice)
        found = read_verified(store, "dots", sample.run_id)
        assert found == Verified()
    behind.write(key, whole)


@pytest.mark.long
def test_of_what_was_too_large_to_read_sizes_are_compared_until_it_is_read(bucket, monkeypatch):
    from runner.runs import integrity_check

    with monkeypatch.context() as small:
        small.setattr(integrity_check, "HASHED_BYTES", 1)
        assert verify(bucket, verify=True).read == len(members(bucket[1]))
        again = verify(bucket)
        assert (again.read, again.is_hashed) == (0, False)
        assert {each.is_read for each in again.whole.values()} == {False}
    found = verify(bucket)
    assert (found.read, found.is_hashed) == (len(members(bucket[1])), True)


def test_a_folder_is_read_every_time_and_has_no_record(tmp_path):
    sample = write_sample_run(tmp_path)
    for _ in range(2):
        found = verify_run(sample.store, "dots", sample.run_id, sample.state.trials.values(), {})
        assert found.read == found.checkpoints
    assert not [key for key in sample.files() if key.endswith(layout.VERIFIED)]
