import math
import multiprocessing
import threading
from pathlib import Path

import pytest

import runner.plan.probe
from runner.cluster.node_types import count_gpus
from runner.config.run import ResourcesConfig
from runner.control.architecture import features, name_architecture, name_rest, spread
from runner.plan.probe import _collect, _measure, _save, count_slots, probe
from tests.trainables.training.tiny_trials import make_config, make_images
from trainables.config.trial import BoostConfig, ParentConfig
from trainables.training.epoch_timer import EpochTime, ProbeFailed

ONE_CORE = ResourcesConfig()
FORMER = ParentConfig(trial_id="0" * 12, epoch=3)


def test_an_architecture_is_what_decides_the_time_of_a_step():
    name = name_architecture(make_config(model={"dropout": 0.1}))
    same = [
        make_config(seed=3, model={"dropout": 0.4}),
        make_config(lr=0.7, momentum=0.0, weight_decay=0.1, model={"dropout": 0.1}),
        make_config(model={"dropout": 0.1}).model_copy(update={"parent": FORMER}),
        make_config(model={"dropout": 0.1}).model_copy(update={"boost": BoostConfig(kind="samme", former=FORMER)}),
    ]
    others = [
        make_config(model={"dropout": 0.0}),
        make_config(model={"dropout": 0.1, "blocks": 1}),
        make_config(model={"dropout": 0.1, "batch_norm": False}),
        make_config(model={"dropout": 0.1}, batch_size=32),
        make_config(model={"dropout": 0.1}, name="adamw"),
        make_config(model={"dropout": 0.1}, precision="bfloat16"),
        make_config(model={"dropout": 0.1}).model_copy(
            update={"boost": BoostConfig(kind="gradient", round=3, former=FORMER)}
        ),
    ]
    assert {name_architecture(config) for config in same} == {name}
    assert len({name, *map(name_architecture, others)}) == 8


def test_what_is_left_of_a_trial_without_its_architecture_and_seed():
    name = name_rest(make_config(model={"dropout": 0.1}))
    same = [
        make_config(seed=7, model={"dropout": 0.1, "width": 64}),
        make_config(batch_size=99, model={"dropout": 0.1}),
    ]
    others = [make_config(model={"dropout": 0.2}), make_config(lr=0.7, model={"dropout": 0.1})]
    assert {name_rest(config) for config in same} == {name}
    assert len({name, *map(name_rest, others)}) == 3


def test_features_are_logarithms_of_numbers_and_a_mark_for_each_word():
    first, second = features(
        [make_config(batch_size=16, name="sgd"), make_config(batch_size=64, name="adamw", model={"blocks": 1})]
    )
    away = [round(b - a, 6) for a, b in zip(first, second, strict=True) if a != b]
    assert sorted(away) == sorted([round(math.log(0.5), 6), round(math.log(4), 6), 1.0, -1.0])


def test_few_architectures_are_all_measured_once_each():
    configs = [make_config(seed=seed, model={"width": width}) for width in (4, 8, 16) for seed in range(5)]
    assert [config.model.width for config in spread(configs, 3)] == [4, 8, 16]


def test_of_many_the_commonest_and_the_farthest_from_it_are_measured():
    widths = [4, 8, 8, 16, 64, 256]
    configs = [make_config(seed=seed, model={"width": width}) for seed, width in enumerate(widths)]
    assert [config.model.width for config in spread(configs, 3)] == [8, 256, 64]
    assert [config.model.width for config in spread(configs, 1)] == [8]


@pytest.mark.long
def test_every_process_measures_and_none_idles():
    configs = [make_config(model={"width": width}) for width in (2, 4, 6)]
    found = probe(make_images().arrays, configs, 2, ONE_CORE, gpus=0)
    assert found.failure == ""
    assert found.import_s > 0
    assert set(found.times) == {name_architecture(config) for config in configs}
    assert sorted(map(len, found.times.values())) == [3, 3, 6]  # three rounds, in each of which the third needs company
    assert all(took.epoch_s > 0 for times in found.times.values() for took in times)


def test_a_trial_that_cannot_be_timed_leaves_the_others(monkeypatch, tmp_path):
    class Watch:
        def __init__(self, images, threads):
            assert images.classes == 3

        def time_epoch(self, config, limit_s):
            if config.model.width == 5:
                raise ProbeFailed("no room")
            return EpochTime(1.0, 0.5, 0.0, 0.0, 0.1)

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(runner.plan.probe, "EpochTimer", Watch)
    _save(make_images().arrays, tmp_path)
    here, there = multiprocessing.Pipe(duplex=False)
    configs = [make_config(model={"width": width}) for width in (5, 4)]
    _measure(
        there, threading.Barrier(1), str(tmp_path), 1, None, [config.model_dump(mode="json") for config in configs]
    )
    there.close()
    found = _collect({here: Ended(0)})
    assert {name: [took.epoch_s for took in times] for name, times in found.times.items()} == {
        name_architecture(configs[1]): [1.5]
    }
    assert found.failure == "no room"


class Ended:
    """A process that has died."""

    def __init__(self, code):
        self.exitcode = code

    def join(self):
        pass


def test_a_process_that_dies_is_reported():
    here, there = multiprocessing.Pipe(duplex=False)
    there.close()
    found = _collect({here: Ended(-9)})
    assert (found.times, found.failure) == ({}, "a process died with exit code -9")


@pytest.mark.parametrize(
    ("cores", "gpus", "resources", "slots"),
    [
        (8, 0, {}, 8),
        (8, 0, {"cpus": 3}, 2),
        (2, 0, {"cpus": 4}, 1),
        (8, 0, {"slots": 3}, 3),
        (8, 2, {}, 2),
        (8, 2, {"gpus": 0.25}, 8),
        (8, 2, {"gpus": 0.5}, 4),
        (8, 2, {"gpus": 0}, 8),
    ],
)
def test_slots_are_counted_as_a_run_counts_them(monkeypatch, cores, gpus, resources, slots):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)))
    monkeypatch.setattr("runner.plan.probe.count_gpus", lambda: gpus)
    assert count_slots(ResourcesConfig(**resources)) == slots


def test_hidden_gpus_do_not_count(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert count_gpus() == 0


@pytest.mark.parametrize(
    ("visible", "count"),
    [
        (None, 4),
        ("-1", 0),
        ("NoDevFiles", 0),
        ("1,3", 2),
        (" 1, 3 ", 2),
        ("0,-1,1", 1),
        ("9,0", 0),
        ("GPU-5f,MIG-7a", 2),
    ],
)
def test_gpus_are_counted_as_cuda_sees_them(monkeypatch, visible, count):
    monkeypatch.setattr(Path, "glob", lambda *_: [Path(f"/dev/nvidia{name}") for name in (0, 1, 2, 3, "ctl", "-uvm")])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert count_gpus() == count
