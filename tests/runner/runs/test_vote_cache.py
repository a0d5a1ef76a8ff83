"""A vote in a bucket takes what it has read before from one object, and comes to the same numbers."""

from __future__ import annotations

import random

import pytest

from benchmarks.requests import counting
from ensembles.evaluation.verdict import to_json as describe_verdict
from runner.evaluation.conclusion import choose_and_evaluate, publish
from runner.retention.retention import plan_retention
from runner.runs import vote_cache as parts_cache
from runner.runs.locate import Located
from runner.runs.stored_run import load_run
from runner.runs.vote_cache import pack, unpack
from trainables.errors import DamagedObject
from trainables.store import layout


def load(bucket):
    store, sample, _ = bucket
    return load_run(Located(store, "dots", sample.run_id), ["bootstraps=5"])


def numbers(conclusion):
    return conclusion.team, describe_verdict(conclusion.verdict, conclusion.team), conclusion.left_out


def parts_asked(asked):
    return sum(count for (kind, what), count in asked.counted.items() if kind == "GET" and ".arrow" in what) + sum(
        count for (_, what), count in asked.counted.items() if what == layout.MANIFEST
    )


def test_the_second_vote_reads_no_part_of_a_checkpoint_and_comes_to_the_same(bucket):
    with counting() as asked:
        first = choose_and_evaluate(load(bucket))
        publish(load(bucket), first, "")
    assert parts_asked(asked) > 5
    with counting() as asked:
        second = choose_and_evaluate(load(bucket))
    assert numbers(second) == numbers(first)
    assert {what for (kind, what), _ in asked.counted.items() if kind == "GET" and "arrow" in what} <= {"means/*"}
    assert asked.of("LIST") == 2  # the journal, and all checkpoints
    with counting() as asked:
        publish(load(bucket), second, "")
    assert layout.PARTS_CACHE not in {what for (_, what) in asked.counted}  # nothing new, nothing written


@pytest.mark.long
@pytest.mark.parametrize("part", [layout.MANIFEST, "validation.arrow"])
@pytest.mark.parametrize("harm", ["flip", "delete"])
def test_a_member_that_was_damaged_since_is_left_out_as_it_is_without_a_cache(bucket, part, harm):
    _store, _sample, behind = bucket
    whole = choose_and_evaluate(load(bucket))
    publish(load(bucket), whole, "")
    member = whole.team.members[0]
    before = behind.harm(member.key(part), harm, random.Random(5))
    try:
        cached = choose_and_evaluate(load(bucket))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("runner.evaluation.conclusion.open_cache", lambda store, *_: store)
            assert numbers(cached) == numbers(choose_and_evaluate(load(bucket)))
        publish(load(bucket), cached, "")  # what is damaged is not kept
    finally:
        behind.write(member.key(part), before)
    assert numbers(choose_and_evaluate(load(bucket))) == numbers(whole)


@pytest.mark.long
def test_a_byte_that_was_wrong_on_its_way_is_not_what_later_votes_read(bucket, monkeypatch):
    store, sample, behind = bucket
    behind.delete(layout.run_key("dots", sample.run_id, layout.PARTS_CACHE))
    whole = choose_and_evaluate(load(bucket))
    member = whole.team.members[0]
    get = type(store).get

    def flip(self, key):
        data = get(self, key)
        return data[:-1] + bytes([data[-1] ^ 1]) if key == member.key("validation.arrow") else data

    with monkeypatch.context() as wrong:
        wrong.setattr(type(store), "get", flip)
        wrongly = choose_and_evaluate(load(bucket))
        assert [left for left, _ in wrongly.left_out] == [member]
        publish(load(bucket), wrongly, "")
    assert numbers(choose_and_evaluate(load(bucket))) == numbers(whole)


@pytest.mark.long
def test_what_would_be_deleted_is_not_taken_from_the_cache(bucket):
    store, sample, _ = bucket
    publish(load(bucket), choose_and_evaluate(load(bucket)), "")
    here, there = plan_retention(sample.store, 2), plan_retention(store, 2)
    assert {one.checkpoint for one in there.removals} == {one.checkpoint for one in here.removals}


@pytest.mark.long
def test_no_more_is_kept_than_the_bound(bucket, monkeypatch):
    store, sample, behind = bucket
    key = layout.run_key("dots", sample.run_id, layout.PARTS_CACHE)
    behind.delete(key)
    monkeypatch.setattr(parts_cache, "CACHE_BYTES", 3000)
    first = choose_and_evaluate(load(bucket))
    publish(load(bucket), first, "")
    assert 0 < sum(len(data) for _, data, _ in unpack(store.get(key), "here")) <= 3000
    assert numbers(choose_and_evaluate(load(bucket))) == numbers(first)


PARTS = {
    "trials/a/epoch-0001/manifest.json": b"{}",
    "trials/a/epoch-0001/x.arrow": b"\n\0bytes",
    "trials/b/epoch-0002/y": b"",
}
MARKS = {"trials/a/epoch-0001/": "m1", "trials/b/epoch-0002/": "m2"}


def test_what_was_packed_is_unpacked():
    found = unpack(pack(PARTS, MARKS), "here")
    assert {key: data for key, data, _ in found} == PARTS
    assert [mark for _, _, mark in found] == ["m1", "m1", "m2"]
    assert unpack(pack({}, {}), "here") == []


def test_a_cache_that_is_damaged_anywhere_is_not_read():
    whole = pack(PARTS, MARKS)
    for at in range(8 * len(whole)):
        harmed = whole[: at // 8] + bytes([whole[at // 8] ^ 1 << at % 8]) + whole[at // 8 + 1 :]
        try:
            assert unpack(harmed, "here") == unpack(whole, "here"), at
        except DamagedObject:
            continue
    for end in range(len(whole)):
        with pytest.raises(DamagedObject):
            unpack(whole[:end], "here")


@pytest.mark.parametrize(
    "index", [[["k", -1, "m"]], [["k", 10**12, "m"]], [[1, 0, "m"]], [["k", 0]], ["k"], {"k": 1}, [["k", "0", "m"]]]
)
def test_a_cache_with_a_seal_and_a_senseless_index_is_not_read(index):
    import json

    from trainables.store.base import sha256_of

    payload = {
        "index": index,
        "body_sha256": sha256_of(b""),
        "index_sha256": sha256_of(json.dumps(index, separators=(",", ":")).encode()),
    }
    with pytest.raises(DamagedObject):
        unpack(parts_cache.HEAD + json.dumps(payload).encode() + b"\n", "here")
