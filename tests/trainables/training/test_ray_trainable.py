"""The Tune trainable, called as Tune calls it but without a cluster."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainables.store.unwilling_stores import A_MOMENT_S, PATIENCE_S, Gated, Refusing, beside
from tests.trainables.training.tiny_trials import make_config, make_images
from trainables.cache.entry import Draft
from trainables.cache.folder import Cache
from trainables.config.trial import TrialConfig
from trainables.data.mapped import MappedArrays, without_copy
from trainables.hardware.spot_notice import SpotNotice
from trainables.results.checkpoint import CheckpointId, committed_epochs, read_part
from trainables.results.record import EpochResult
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.folder import Folder
from trainables.store.json_records import get_json
from trainables.training.ray_trainable import TuneTrial
from trainables.training.training import Training

IMAGES = make_images()
FIRST = make_config(IMAGES.data_id, seed=1)
SECOND = make_config(IMAGES.data_id, seed=2, model={"dropout": 0.3}, name="adamw", lr=0.01)


def tune_config(config: TrialConfig, epoch: int = 0, **more: Any) -> dict[str, Any]:
    """What the launch hands to Tune for one trial."""
    return {"name": config.trial_id, "trial": config.model_dump_json(), "epoch": epoch, **more}


Start = Callable[..., TuneTrial]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Sets up a trainable over the folder of the test, or over `store`; all are cleaned up, torch is as it was."""
    import torch

    threads, deterministic = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    made: list[TuneTrial] = []

    def make(config: TrialConfig, epoch: int = 0, store: Store | None = None, **more: Any) -> TuneTrial:
        trainable = TuneTrial.__new__(TuneTrial)  # its own constructor asks Ray where it runs
        given = {name: more.pop(name) for name in ("gpus", "is_pretended") if name in more}
        images = more.pop("images", IMAGES.arrays)
        trainable.setup(tune_config(config, epoch, **more), images=images, store=store or Folder(tmp_path), **given)
        made.append(trainable)
        return trainable

    yield make
    torch.set_deterministic_debug_mode(deterministic)
    torch.set_num_threads(threads)
    for trainable in made:
        trainable._committer._thread.shutdown()


def weights(store: Store, config: TrialConfig) -> dict[int, bytes]:
    return {
        epoch: read_part(store, CheckpointId(config.trial_id, epoch), layout.WEIGHTS)
        for epoch in committed_epochs(store, config.trial_id)
    }


# Steps


def test_a_slot_that_stands_by_says_so_at_each_step_and_then_takes_up_a_trial(start: Start) -> None:
    trainable = start(FIRST)
    trainable.reset_config({"name": "standby", "standby": 0.001})
    assert [trainable.step() for _ in range(2)] == 2 * [{"name": "standby", "standby": True}]
    trainable.reset_config(tune_config(SECOND))
    assert (trainable.step()["name"], trainable.step()["epoch"]) == (SECOND.trial_id, 2)
    trainable.cleanup()


def test_a_step_returns_the_epochs_result_under_the_name_of_the_trial(start: Start, tmp_path: Path) -> None:
    trainable = start(FIRST)
    steps = [trainable.step(), trainable.step()]
    trainable.cleanup()
    results = []
    for epoch, step in enumerate(steps, 1):
        assert (step["name"], step["trained"], step["end"], step["reason"]) == (FIRST.trial_id, True, None, "")
        results.append(EpochResult(**{name: step[name] for name in EpochResult.__dataclass_fields__}))
        assert results[-1].epoch == epoch
        assert json.loads(json.dumps(step)) == step  # plain values: nothing of torch or numpy travels
    for result in results:
        metrics = get_json(Folder(tmp_path), CheckpointId(FIRST.trial_id, result.epoch).key(layout.METRICS))
        assert metrics.items() <= asdict(result).items()
    assert "test" not in " ".join(steps[0])


def test_a_step_over_a_stored_epoch_says_that_it_was_not_trained(start: Start) -> None:
    first = start(FIRST)
    trained = first.step()
    first.cleanup()
    again = start(FIRST).step()
    assert again == trained | {"trained": False}


def test_a_trial_is_taken_up_after_the_epoch_on_record(start: Start, tmp_path: Path) -> None:
    whole = start(FIRST, store=Folder(tmp_path / "whole"))
    for _ in range(3):
        whole.step()
    whole.cleanup()
    first = start(FIRST, store=Folder(tmp_path / "cut"))
    first.step()
    first.step()
    first.cleanup()
    second = start(FIRST, epoch=2, store=Folder(tmp_path / "cut"))
    step = second.step()
    second.cleanup()
    assert (step["epoch"], step["trained"]) == (3, True)
    assert weights(Folder(tmp_path / "cut"), FIRST) == weights(Folder(tmp_path / "whole"), FIRST)


def test_a_trial_that_fails_is_reported_and_raises_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such layer")

    monkeypatch.setattr("trainables.training.training.build_net", broken)
    assert start(FIRST).step() == {
        "name": FIRST.trial_id,
        "trained": False,
        "end": "failed",
        "reason": "RuntimeError: no such layer",
        "by_budget": False,
    }


def test_after_its_deadline_a_trial_is_stopped(start: Start, tmp_path: Path) -> None:
    trainable = start(FIRST, left_s=-1.0)
    step = trainable.step()
    trainable.cleanup()
    assert step == {
        "name": FIRST.trial_id,
        "trained": False,
        "end": "stopped",
        "reason": "the budget ran out in epoch 1",
        "by_budget": True,
    }
    assert committed_epochs(Folder(tmp_path), FIRST.trial_id) == []


@pytest.mark.parametrize("left_s", [math.inf, 1000.0])
def test_before_its_deadline_a_trial_is_not_stopped_whatever_the_time_of_day(
    start: Start, left_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 4e9)  # a machine whose clock is years ahead
    assert start(FIRST, left_s=left_s).step()["end"] is None


# From one trial to the next


def test_a_trainable_is_used_for_one_trial_after_the_other_and_none_leaves_a_trace_in_the_next(
    start: Start, tmp_path: Path
) -> None:
    alone = {}
    for config in (FIRST, SECOND):
        trainable = start(config, store=Folder(tmp_path / config.trial_id))
        trainable.step()
        trainable.step()
        trainable.cleanup()
        alone[config.trial_id] = weights(Folder(tmp_path / config.trial_id), config)
    shared = Folder(tmp_path / "shared")
    trainable = start(FIRST, store=shared)
    names = [trainable.step()["name"]]
    for config, epoch in [(SECOND, 0), (FIRST, 1), (SECOND, 1)]:
        assert trainable.reset_config(tune_config(config, epoch)) is True
        step = trainable.step()
        names.append(step["name"])
        assert step["epoch"] == epoch + 1
    trainable.cleanup()
    assert names == [FIRST.trial_id, SECOND.trial_id] * 2
    for config in (FIRST, SECOND):
        assert weights(shared, config) == alone[config.trial_id]


def test_the_next_trial_begins_when_everything_of_the_former_is_stored(start: Start, tmp_path: Path) -> None:
    store = Gated(tmp_path, held="epoch-")
    trainable = start(FIRST, store=store)
    trainable.step()
    assert store.reached.wait(PATIENCE_S)
    with beside(lambda: trainable.reset_config(tune_config(SECOND))) as returned:
        assert not returned.wait(A_MOMENT_S)
        assert store.order == [layout.config_key(FIRST.trial_id)]
        store.gate.set()
    assert returned.is_set()
    assert committed_epochs(store, FIRST.trial_id) == [1]
    manifest = CheckpointId(FIRST.trial_id, 1).key(layout.MANIFEST)
    assert store.order[-2:] == [manifest, layout.config_key(SECOND.trial_id)]


def test_cleanup_returns_when_everything_is_stored_and_its_thread_has_ended(start: Start, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    store = Gated(tmp_path, held="epoch-")
    trainable = start(FIRST, store=store)
    trainable.step()
    assert store.reached.wait(PATIENCE_S)
    with beside(trainable.cleanup) as returned:
        assert not returned.wait(A_MOMENT_S)
        store.gate.set()
    assert returned.is_set()
    assert committed_epochs(store, FIRST.trial_id) == [1]
    assert set(threading.enumerate()) == before


def test_a_checkpoint_that_the_store_did_not_take_is_not_held_against_the_next_trial(
    start: Start, tmp_path: Path
) -> None:
    trainable = start(FIRST, store=Refusing(tmp_path, refused=[f"{FIRST.trial_id}/epoch-0001"]))
    trainable.step()
    assert trainable.reset_config(tune_config(SECOND))
    assert (trainable.step()["name"], trainable.step()["end"]) == (SECOND.trial_id, None)
    trainable.cleanup()
    assert committed_epochs(Folder(tmp_path), FIRST.trial_id) == []
    assert committed_epochs(Folder(tmp_path), SECOND.trial_id) == [1, 2]


def test_cleanup_ends_quietly_where_the_store_did_not_take_the_last_checkpoint(start: Start, tmp_path: Path) -> None:
    trainable = start(FIRST, store=Refusing(tmp_path, refused=["epoch-0001"]))
    trainable.step()
    trainable.cleanup()
    assert committed_epochs(Folder(tmp_path), FIRST.trial_id) == []


def test_a_trial_that_the_store_does_not_let_begin_is_stopped_and_no_worker_dies(start: Start, tmp_path: Path) -> None:
    trainable = start(FIRST, store=Refusing(tmp_path, refused=["config.json"]))
    step = trainable.step()
    assert (step["name"], step["end"]) == (FIRST.trial_id, "stopped")
    assert "config.json was not given" in step["reason"]


def test_a_wrong_label_fails_every_trial_with_its_reason_and_no_worker_dies(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    labels = IMAGES.labels.copy()
    labels[5] = 3
    trainable = TuneTrial.__new__(TuneTrial)
    trainable.setup(tune_config(FIRST), images=replace(IMAGES.arrays, labels=labels), store=store)
    try:
        for config in (FIRST, SECOND):
            trainable.reset_config(tune_config(config))
            step = trainable.step()
            assert (step["name"], step["end"], step["trained"]) == (config.trial_id, "failed", False)
            assert step["reason"].startswith(
                "wrong label: that of image 5 is 3, and 1 of 110 are outside the 3 classes"
            )
        trainable.reset_config({"name": "a net", "trial": FIRST.model_dump_json(), "range_test": "a net"})
        assert "wrong label: that of image 5" in json.loads(trainable.step()["range_test"])["reason"]
    finally:
        trainable.cleanup()


@pytest.fixture
def mapped(tmp_path: Path) -> MappedArrays:
    """The images in a file of a cache, as they are sent to a worker."""
    with Draft(Cache(tmp_path / "cache", keeps_all=True), IMAGES.pixels.shape) as draft:
        draft.write(IMAGES.pixels)
        entry = draft.keep("key", np.arange(len(IMAGES.pixels)), IMAGES.image_sha256, {})
    assert entry is not None
    sent = without_copy(replace(IMAGES.arrays, pixels=entry.pixels, statistics=IMAGES.statistics))
    assert isinstance(sent, MappedArrays)
    return sent


def test_what_is_trained_from_a_mapped_file_is_the_same_to_the_bit(
    start: Start, tmp_path: Path, mapped: MappedArrays
) -> None:
    stores = [Folder(tmp_path / "memory"), Folder(tmp_path / "mapped")]
    for store, images in zip(stores, (IMAGES.arrays, mapped), strict=True):
        trainable = start(SECOND, store=store, images=images)
        for _ in range(2):
            trainable.step()
        trainable.cleanup()
    in_memory, from_file = (weights(store, SECOND) for store in stores)
    assert in_memory.keys() == {1, 2}
    assert from_file == in_memory


def test_a_mapped_file_that_is_gone_fails_every_trial_with_its_name_and_no_worker_dies(
    start: Start, mapped: MappedArrays
) -> None:
    Path(mapped.file.path).unlink()
    step = start(FIRST, images=mapped).step()
    assert step["end"] == "failed"
    assert "holds the pixels and cannot be read (No such file or directory): run it again" in step["reason"]


def test_a_label_that_went_wrong_after_a_trial_began_leaves_its_checkpoints(start: Start, tmp_path: Path) -> None:
    first = start(FIRST)
    first.step()
    first.cleanup()
    trainable = TuneTrial.__new__(TuneTrial)
    trainable.setup(
        tune_config(FIRST, 1), images=replace(IMAGES.arrays, labels=IMAGES.labels[1:]), store=Folder(tmp_path)
    )
    try:
        assert "corrupt images: 110 images, but 109 labels" in trainable.step()["reason"]
    finally:
        trainable.cleanup()
    assert list(weights(Folder(tmp_path), FIRST)) == [1]


# Set-up


def test_the_configuration_is_stored_once_and_reads_back(start: Start, tmp_path: Path) -> None:
    store = Gated(tmp_path, held="nothing of this name")
    trainable = start(SECOND, store=store)
    trainable.step()
    trainable.reset_config(tune_config(FIRST))
    trainable.reset_config(tune_config(SECOND, 1))
    trainable.cleanup()
    start(SECOND, epoch=1, store=store).cleanup()
    written = [key for key in store.order if key.endswith("config.json")]
    assert written == [layout.config_key(SECOND.trial_id), layout.config_key(FIRST.trial_id)]
    assert TrialConfig.model_validate(get_json(store, written[0])) == SECOND


def test_a_configuration_is_stored_with_every_key_whatever_the_defaults(start: Start, tmp_path: Path) -> None:
    start(FIRST)
    assert get_json(Folder(tmp_path), layout.config_key(FIRST.trial_id)) == FIRST.model_dump(mode="json")


@pytest.mark.parametrize(("threads", "expected"), [("1", 1), ("2", 2), ("0", 1), (None, 1)])
def test_a_slot_has_as_many_threads_as_it_has_cores(
    start: Start, monkeypatch: pytest.MonkeyPatch, threads: str | None, expected: int
) -> None:
    import torch

    torch.set_num_threads(3)
    if threads is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    start(FIRST)
    assert torch.get_num_threads() == expected


def test_only_deterministic_algorithms_are_used(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    torch.set_deterministic_debug_mode("default")
    start(FIRST)
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.parametrize("missing", ["images", "store"])
def test_without_images_or_store_nothing_is_set_up(tmp_path: Path, missing: str) -> None:
    given: dict[str, Any] = {"images": IMAGES.arrays, "store": Folder(tmp_path)}
    del given[missing]
    with pytest.raises(ValueError, match="images and store were not handed to the trainable"):
        TuneTrial.__new__(TuneTrial).setup(tune_config(FIRST), **given)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_without_the_gpu_that_it_was_given_says_so_and_trains_nothing(tmp_path, start, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    trainable = start(FIRST, gpus=1.0)
    step = trainable.step()
    assert step["unfit"].startswith("Ray gives a trial 1 GPU on ")
    assert set(step) == {"name", "unfit"}
    assert start(FIRST, gpus=1.0, is_pretended=True).step()["trained"]


# Machines that are to be taken away


def listen(trainable: TuneTrial, left_s: float) -> None:
    """The trainable has heard that its machine goes in so many seconds."""
    trainable._spot = SpotNotice(lambda: ("soon", left_s), poll_s=0.01)
    end_s = time.monotonic() + 30
    while trainable._spot.notice is None:
        assert time.monotonic() < end_s
        time.sleep(0.005)


LEAVING = {"name": FIRST.trial_id, "trained": False, "end": None, "reason": "", "by_budget": False, "leaving": "soon"}


def test_a_trial_whose_machine_goes_stores_what_it_reported_says_so_and_ends_its_actor(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Gated(tmp_path, held="manifest.json")
    trainable = start(FIRST, store=store)
    trainable.step()  # its checkpoint is under way and held up
    listen(trainable, 110.0)
    threading.Timer(0.2, store.gate.set).start()
    assert trainable.step() == LEAVING
    assert committed_epochs(Folder(tmp_path), FIRST.trial_id) == [1]
    monkeypatch.setattr("trainables.training.ray_trainable._end_actor", lambda: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        trainable.step()


def test_the_epoch_under_way_is_given_up_where_it_would_not_be_stored_in_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainable = start(FIRST)
    trainable.step()
    real = Training.train_epoch

    def hear(training: Training, should_stop: Callable[[], bool]) -> tuple[float, float]:
        listen(trainable, 31.0)  # 1 s more than a checkpoint is given, and the epoch before took 5
        return real(training, should_stop)

    monkeypatch.setattr(Training, "train_epoch", hear)
    trainable._epoch_s = 5.0
    assert trainable.step() == LEAVING
    trainable.cleanup()


def test_and_ends_as_usual_where_it_would(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainable = start(FIRST)
    trainable.step()
    real = Training.train_epoch

    def hear(training: Training, should_stop: Callable[[], bool]) -> tuple[float, float]:
        listen(trainable, 600.0)
        return real(training, should_stop)

    monkeypatch.setattr(Training, "train_epoch", hear)
    step = trainable.step()
    assert (step["epoch"], step["trained"], step["end"]) == (2, True, None)
    assert trainable.step() == LEAVING
    assert committed_epochs(Folder(tmp_path), FIRST.trial_id) == [1, 2]


def test_a_trial_whose_own_time_is_over_is_stopped_though_its_machine_goes(start: Start) -> None:
    trainable = start(FIRST)
    trainable.step()
    trainable._until_s = 0.0
    trainable._epoch_s = 1e9
    trainable._spot = SpotNotice(lambda: None, poll_s=1e6)
    step = trainable.step()
    assert (step["end"], "leaving" in step) == ("stopped", False)
    trainable.cleanup()


def test_a_place_to_listen_at_that_is_none_stops_trials_with_its_name_and_fails_none(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUCUS_SPOT_NOTICE", "asw")
    step = start(FIRST).step()
    assert (step["end"], step["reason"]) == (
        "stopped",
        "CAUCUS_SPOT_NOTICE is 'asw': it must be aws, gce or the absolute path of a file",
    )
