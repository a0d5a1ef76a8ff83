"""`caucus prune STORE`: what can go, what must stay, and that nothing that was chosen changes."""

from __future__ import annotations

import io
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from runner.cli.tables.retention import describe_consequences, show_retention
from runner.evaluation.conclusion import choose_and_evaluate
from runner.execution.lost_epochs import lost_epochs
from runner.journal.deleted import add_deleted, read_deleted
from runner.journal.events import Decided
from runner.journal.lease import take_lease
from runner.retention.reference_set import references
from runner.retention.retention import Retention, carry_out, plan_retention, read_run
from runner.retention.store_view import without
from tests.sample_runs.sample_run import SampleRun, make_spec, open_log, write_epoch, write_sample_run
from tests.sample_runs.sweeps import caucus
from trainables.config.model import ModelConfig
from trainables.config.trial import ParentConfig
from trainables.errors import DamagedObject, RunTaken, StoreError
from trainables.models.pretrained import name_weights, store_weights
from trainables.results.checkpoint import CheckpointId, committed, committed_epochs
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.folder import Folder
from trainables.store.json_records import get_json, seal_json
from trainables.store.keys import RESERVED_PREFIX
from trainables.store.open import open_store
from trainables.store.s3 import S3Store

DAY_S = 24 * 3600.0
NOW_S = 2e9


@pytest.fixture
def sample(tmp_path: Path) -> SampleRun:
    return write_sample_run(tmp_path / "runs")


def left(sample: SampleRun) -> set[str]:
    """The checkpoints that are there, as `<number of the trial>@<epoch>`."""
    number = {trial.trial_id: at for at, trial in enumerate(sample.trials)}
    return {f"{number[each.trial_id]}@{each.epoch}" for each in committed(sample.store, number)}


def best_epochs(sample: SampleRun) -> set[str]:
    number = {trial.trial_id: at for at, trial in enumerate(sample.trials)}
    return {f"{number[name]}@{one.best.epoch}" for name, one in sample.state.trials.items() if one.best}


def removed_in(store: Store, keep_size: int) -> list[CheckpointId]:
    return [one.checkpoint for one in plan_retention(store, keep_size).removals if one.checkpoint]


def best_of_trials(sample: SampleRun) -> set[CheckpointId]:
    return {CheckpointId(name, one.best.epoch) for name, one in sample.state.trials.items() if one.best}


def chosen(sample: SampleRun) -> tuple[Any, ...]:
    found = choose_and_evaluate(sample.stored)
    votes = {how: (score.test_accuracy, score.test_nll) for how, score in found.verdict.votes.items()}
    return found.team, found.best, votes, found.verdict.best


def test_a_run_whose_journal_is_damaged_is_read_up_to_there_and_keeps_everything(sample: SampleRun) -> None:
    sample.store.put(CheckpointId("f" * 12, 1).key("metrics.json"), b"{}")  # of no run, and without a manifest
    before = plan_retention(sample.store, 1, NOW_S)
    kinds = {removal.what for removal in before.removals}
    assert kinds == {"checkpoints that no choice takes", "checkpoints without a manifest, older than a day"}
    assert not before.notes
    (events,) = sample.store.find(layout.run_key(sample.spec.name, sample.run_id, layout.EVENTS))
    sample.store.put(events.key, sample.store.get(events.key)[:-9])
    state, why = read_run(sample.found)
    assert set(state.trials) == {trial.trial_id for trial in sample.trials}
    assert "holds a line that is not whole" in why
    found = plan_retention(sample.store, 1, NOW_S)
    assert not found.removals
    assert [note.partition(":")[0].rpartition(" keeps ")[2] for note in found.notes] == [
        "everything",
        "what no run is known to have stays as well, until each of them can be read",
    ]


def test_without_delete_nothing_changes_and_the_total_is_what_would_go(sample: SampleRun) -> None:
    before = sample.files()
    found = plan_retention(sample.store, 20)
    assert sample.files() == before
    assert (found.deleted, found.objects) == (False, 7 * len(found.removals))
    carry_out(found)
    gone = {key: data for key, data in before.items() if key not in sample.files()}
    assert (len(gone), sum(map(len, gone.values()))) == (found.objects, found.size_bytes)
    assert found.objects > 0


def test_the_checkpoints_that_stay_give_the_same_selection_and_verdict(sample: SampleRun) -> None:
    before = chosen(sample)
    carry_out(plan_retention(sample.store, 20))
    assert chosen(sample) == before
    assert left(sample) < {"0@1", "0@2", "0@3", "1@1", "1@2", "1@3", "2@1", "3@1", "3@2"}
    assert plan_retention(sample.store, 20).removals == ()


def test_a_smaller_size_keeps_fewer(sample: SampleRun) -> None:
    sample = replace(sample, spec=sample.spec.model_copy(update={"ensemble": sample.spec.ensemble}))
    few, many = plan_retention(sample.store, 1), plan_retention(sample.store, 20)
    assert {*few.kept} <= {*many.kept}
    assert best_epochs(sample) <= {
        f"{[trial.trial_id for trial in sample.trials].index(each.trial_id)}@{each.epoch}" for each in many.kept
    }


def test_a_trial_that_a_larger_budget_continues_keeps_its_newest_checkpoint(sample: SampleRun) -> None:
    carry_out(plan_retention(sample.store, 1))
    assert sample.state.trials[sample.trials[3].trial_id].state == "stopped"
    assert "3@2" in left(sample)


def test_a_run_that_is_under_way_keeps_everything(sample: SampleRun) -> None:
    open_log(sample.store, "dots", sample.run_id).open({}, slots=1)
    found = plan_retention(sample.store, 1)
    assert found.removals == ()
    assert set(found.kept.values()) == {"its run has not come to its end, or cannot be read"}


def test_another_run_over_the_same_trials_that_is_under_way_keeps_them(sample: SampleRun) -> None:
    log = open_log(sample.store, "others", "r2")
    log.open({}, slots=1)
    log.plan(sample.trials[:1])
    carry_out(plan_retention(sample.store, 1))
    assert committed_epochs(sample.store, sample.trials[0].trial_id) == [1, 2, 3]


def test_what_trials_start_from_and_decisions_name_stays(sample: SampleRun) -> None:
    first, second = sample.trials[0].trial_id, sample.trials[1].trial_id
    data = b"\x02\x00\x00\x00\x00\x00\x00\x00{}"
    store_weights(sample.store, data)
    store_weights(sample.store, data + b"\n")
    child = sample.trials[0].model_copy(
        update={"parent": ParentConfig(trial_id=first, epoch=1), "model": ModelConfig(weights=name_weights(data))}
    )
    log = open_log(sample.store, "children", "r3")
    log.open({}, slots=1)
    log.plan([child])
    values = {"members": [[second, 1]], "table": "0123456789abcdef"}
    log.append(log.draft(Decided, what="pseudo-labels", reason="they agree", values=values))
    for name in ("0123456789abcdef", "00000000deadbeef"):
        sample.store.put(layout.pseudo_key(sample.images.data_id, name), b"table")
    log.close("done", "")
    carry_out(plan_retention(sample.store, 1, NOW_S + 1e9))
    assert {"0@1", "1@1"} <= left(sample)
    names = {found.key for found in sample.store.find("weights/")}
    assert names == {layout.initial_weights_key(name_weights(data).removeprefix("sha256:"))}
    tables = [found.key for found in sample.store.find(f"data/{sample.images.data_id}/pseudo/")]
    assert tables == [layout.pseudo_key(sample.images.data_id, "0123456789abcdef")]


def test_what_no_run_has_goes_when_it_is_old(sample: SampleRun) -> None:
    orphan = sample.trials[0].model_copy(update={"seed": 99})
    write_epoch(sample.store, sample.images, orphan, 1, 2.0)
    write_epoch(sample.store, sample.images, orphan, 2, 2.0)
    sample.store.delete(CheckpointId(orphan.trial_id, 2).key(layout.MANIFEST))
    begun = sample.store.root / "trials" / f"{RESERVED_PREFIX}0123"
    begun.write_bytes(b"half")
    carry_out(plan_retention(sample.store, 1))
    assert len(sample.store.find(layout.trial_prefix(orphan.trial_id))) == 13
    assert begun.exists()
    for folder, _, names in os.walk(sample.store.root):
        for name in names:
            os.utime(Path(folder, name), (NOW_S, NOW_S))
    almost = plan_retention(sample.store, 1, NOW_S + DAY_S - 1)
    assert almost.removals == ()
    old = plan_retention(sample.store, 1, NOW_S + DAY_S + 1)
    assert [(one.what, one.objects) for one in old.removals] == [
        ("checkpoints of trials that no run has", 7),
        ("checkpoints without a manifest, older than a day", 6),
        ("unfinished writes, older than a day", 1),
    ]
    carry_out(old)
    assert sample.store.find(layout.trial_prefix(orphan.trial_id)) == []
    assert not begun.exists()


@dataclass(frozen=True)
class Recorded(Folder):
    """A folder that remembers what it deletes, and gives up after so many."""

    order: list[str] = field(default_factory=list)
    most: int = 10**9

    def delete(self, key: str) -> None:
        if len(self.order) >= self.most:
            raise StoreError("the store gives out")
        self.order.append(key)
        super().delete(key)


def test_of_each_checkpoint_the_manifest_goes_first(sample: SampleRun) -> None:
    store = Recorded(sample.store.root, "runs")
    carry_out(plan_retention(store, 1))
    folders = {key.rpartition("/")[0] for key in store.order}
    firsts = [next(key for key in store.order if key.startswith(folder + "/")) for folder in folders]
    assert firsts
    assert {key.rpartition("/")[2] for key in firsts} == {layout.MANIFEST}


def test_a_deletion_that_breaks_off_leaves_nothing_half_and_nothing_that_looks_lost(sample: SampleRun) -> None:
    before = chosen(sample)
    with pytest.raises(StoreError, match="gives out"):
        carry_out(plan_retention(Recorded(sample.store.root, "runs", most=3), 1))
    assert chosen(sample) == before
    deleted = read_deleted(sample.store, "dots", sample.run_id)
    state = sample.state
    state.closed = None
    assert lost_epochs(sample.store, state, deleted) == {}
    carry_out(plan_retention(sample.store, 1))
    assert chosen(sample) == before


def test_a_run_that_goes_on_does_not_take_for_lost_what_was_deleted(sample: SampleRun) -> None:
    carry_out(plan_retention(sample.store, 1))
    state = sample.state
    state.closed = None  # as while it is open, and after its driver was killed
    assert lost_epochs(sample.store, state)
    deleted = read_deleted(sample.store, "dots", sample.run_id)
    assert lost_epochs(sample.store, state, deleted) == {}
    sample.store.delete(CheckpointId(sample.trials[3].trial_id, 2).key(layout.MANIFEST))
    assert lost_epochs(sample.store, state, deleted) == {sample.trials[3].trial_id: {2}}


def test_what_is_deleted_adds_up(sample: SampleRun) -> None:
    add_deleted(sample.store, "dots", "r", {"a": {2}})
    add_deleted(sample.store, "dots", "r", {"a": {1}, "b": {7}})
    assert read_deleted(sample.store, "dots", "r") == {"a": {1, 2}, "b": {7}}
    assert read_deleted(sample.store, "dots", "other") == {}
    sample.store.put(layout.run_key("dots", "r", layout.DELETED), b'{"epochs": [1]}')
    with pytest.raises(DamagedObject, match=r"deleted\.json names no epochs"):
        read_deleted(sample.store, "dots", "r")


def test_a_run_that_cannot_be_read_keeps_everything_and_is_named(sample: SampleRun) -> None:
    key = sample.stored.key(layout.SWEEP)
    head: dict[str, Any] = get_json(sample.store, key)
    head["spec"]["ensemble"]["sise"] = head["spec"]["ensemble"].pop("size")
    sample.store.put(key, seal_json(head))
    found = plan_retention(sample.store, 1)
    assert found.removals == ()
    assert [note for note in found.notes if "dots" in note and "sise" in note]


def test_a_sweep_that_lets_all_vote_keeps_every_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tests.sample_runs.sample_run as module

    monkeypatch.setattr(module, "make_spec", lambda uri: make_spec(uri, ensemble={"select": "all"}))
    sample = write_sample_run(tmp_path / "all")
    carry_out(plan_retention(sample.store, 1))
    assert best_epochs(sample) <= left(sample)


def test_a_store_without_some_checkpoints_is_one_without_them(sample: SampleRun) -> None:
    gone = CheckpointId(sample.trials[0].trial_id, 1)
    seen = without(sample.store, [gone])
    assert committed_epochs(seen, gone.trial_id) == [2, 3]
    assert seen.stat(gone.key(layout.MANIFEST)) is None
    assert "epoch-0001" not in seen.folders(layout.trial_prefix(gone.trial_id))
    for act in (lambda: seen.put("a", b""), lambda: seen.delete("a"), lambda: seen.get(gone.key(layout.METRICS))):
        with pytest.raises(StoreError):
            act()


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({"former": "0f3a00000000@12"}, {"0f3a00000000@12"}),
        ({"a": [{"trial_id": "0f3a00000000", "epoch": 3}]}, {"0f3a00000000@3"}),
        ({"best": ["0f3a00000000", 3]}, {"0f3a00000000@3"}),
        ({"lr": 0.1, "name": "sgd"}, set()),
    ],
)
def test_references_are_found_however_they_are_written(raw: Any, found: set[str]) -> None:
    assert set(map(str, references(raw)[0])) == found


def test_another_folder_is_no_store_and_the_former_verb_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"is no store of Caucus.*caucus sparsify"):
        plan_retention(Folder(tmp_path, "here"), 20)


def test_the_table_and_the_object_agree(sample: SampleRun, tmp_path: Path) -> None:
    found = plan_retention(sample.store, 20)
    printed = caucus("prune", str(tmp_path / "runs"))
    assert printed == {**found.to_dict(), "store": str(tmp_path / "runs")}
    assert set(printed) >= {"store", "objects", "bytes", "deleted", "kept"}
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(show_retention(found))
    text = console.export_text() + "\n".join(describe_consequences(found))
    for word in (
        "checkpoints that no choice takes",
        f"{found.objects:,}",
        "--delete",
        "uniform vote of all candidates",
    ):
        assert word in text
    done = caucus("prune", str(tmp_path / "runs"), "--delete")
    assert (done["deleted"], done["objects"], done["bytes"]) == (True, found.objects, found.size_bytes)
    assert caucus("prune", str(tmp_path / "runs"))["objects"] == 0


def test_a_bucket_is_pruned_as_a_folder_is(sample: SampleRun, moto_s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.login(monkeypatch)
    bucket: Store = open_store(f"s3://{moto_s3.new_bucket()}/some/prefix")
    for key, data in sample.files().items():
        bucket.put(key, data)
    here, there = plan_retention(sample.store, 2), plan_retention(bucket, 2)
    assert (there.objects, there.size_bytes) == (here.objects, here.size_bytes)

    def keys(store: Store) -> set[str]:
        return {found.key for found in store.find("")}

    assert isinstance(carry_out(there), Retention)
    carry_out(here)
    assert keys(bucket) == keys(sample.store)
    half = CheckpointId("0f3a00000000", 1).key("weights.safetensors")
    bucket.put(half, b"half")
    assert plan_retention(bucket, 2).removals == ()
    assert [one.rest for one in plan_retention(bucket, 2, time.time() + DAY_S + 60).removals] == [(half,)]


def test_in_a_bucket_only_manifests_of_another_size_are_read_and_what_is_not_understood_stays(
    sample: SampleRun, moto_s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto_s3.login(monkeypatch)
    bucket: Store = open_store(f"s3://{moto_s3.new_bucket()}")
    for key, data in sample.files().items():
        bucket.put(key, data)
    newer = next(one for one in removed_in(bucket, 1) if one not in best_of_trials(sample))
    manifest = newer.key(layout.MANIFEST)
    bucket.put(manifest, seal_json({**get_json(bucket, manifest), "shards": 2}))
    read: list[str] = []
    get = S3Store.get
    monkeypatch.setattr(S3Store, "get", lambda self, key: read.append(key) or get(self, key))
    found = plan_retention(bucket, 1)
    assert newer not in [one.checkpoint for one in found.removals]
    assert any(f"{manifest} was written by a newer Caucus (key shards)" in note for note in found.notes)
    best = best_of_trials(sample)  # these are candidates, whose manifests a vote reads
    assert {key for key in read if key.endswith(layout.MANIFEST)} - {one.key(layout.MANIFEST) for one in best} <= {
        manifest
    }


def test_nothing_is_deleted_while_a_run_of_the_store_is_being_driven(sample: SampleRun) -> None:
    found = plan_retention(sample.store, 1)
    before = left(sample)
    with (
        take_lease(sample.store, "spots", "r9"),
        pytest.raises(RunTaken, match=r"run spots/r9 in .* is being driven by process \d+ on"),
    ):
        carry_out(found)
    assert left(sample) == before
    carry_out(found)
    assert left(sample) < before


def test_a_driver_that_was_not_heard_of_for_long_holds_nothing_up(sample: SampleRun) -> None:
    claim = layout.claim_key("spots", "r9", 1)
    sample.store.put(claim, b'{"host": "elsewhere", "pid": 7}\n')
    with pytest.raises(RunTaken, match="process 7 on elsewhere"):
        carry_out(plan_retention(sample.store, 1))
    old_unix_s = time.time() - 601
    os.utime(sample.store.root / claim, (old_unix_s, old_unix_s))
    before = left(sample)
    carry_out(plan_retention(sample.store, 1))
    assert left(sample) < before
