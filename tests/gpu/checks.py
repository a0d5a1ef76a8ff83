"""What only a GPU can tell, each check a function of a device: `test_gpu.py` runs them on a GPU, `test_checks.py` on a pretended one.

They need torch and what `trainables` imports; Ray for one of them alone.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainables.training.tiny_trials import CPU, make_config, make_images
from trainables.config.data import DataConfig
from trainables.config.trial import TrialConfig
from trainables.data.images import ImageSet, hash_labels
from trainables.datasets.load import load_images
from trainables.errors import DeviceFault
from trainables.hardware.device import check_device, module_of, open_device
from trainables.results.checkpoint import CheckpointId, read_json_part, read_part
from trainables.results.committer import Committer
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.training.device_images import DeviceImages, place_images
from trainables.training.training import Training
from trainables.training.trial import Trial

CHILD_S = 240
"""A process imports torch and begins CUDA, both of which may take long on a busy machine."""

LARGE: dict[str, Any] = {"model": {"width": 32, "convs": 2}, "batch_size": 2048}
"""A step of 2,048 images of 8 x 8 that takes some 200 MB, more than a context and its libraries are uncertain by."""

CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bfloat16, dropout, ema": {"precision": "bfloat16", "model": {"dropout": 0.2}, "average": {"name": "ema"}},
    "adamw, swa, clip": {"name": "adamw", "average": {"name": "swa"}, "clip": 1.0, "model": {"residual": True}},
    "rmsprop, plateau": {"name": "rmsprop", "lr": 1e-3, "schedule": {"name": "plateau"}, "model": {"group_norm": True}},
    "strength, mixup": {"augment": {"strength": 0.5, "mixup": 0.2, "cutmix": 1.0}, "class_weights": "balanced"},
    "average head": {"model": {"head": "average", "pooling": "stride", "activation": "gelu"}},
    "resnet18": {"model": {"name": "torchvision/resnet18"}, "lr": 0.001},
}


def digits() -> ImageSet:
    return load_images(DataConfig.model_validate({"name": "digits", "validation": 0.25, "test": 0.25}))


def train_trial(store: Folder, config: TrialConfig, images: ImageSet, placed: DeviceImages, epochs: int) -> str:
    """Train up to the end of `epochs`, from whatever the store has; a digest of all that the last checkpoint holds but times."""
    committer = Committer(store)
    trial = Trial(config, placed, hash_labels(images), store, committer)
    while trial.epoch < epochs:
        step = trial.advance()
        assert step.end is None, step.reason
    committer.close()
    parts = (layout.WEIGHTS, layout.OPTIMIZER, layout.METRICS, layout.predictions_part("test"), layout.LAYER_STATISTICS)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(read_part(store, CheckpointId(config.trial_id, epochs), part))
    return digest.hexdigest()


def check_resuming_in_another_process(name: str, folder: Path, device: torch.device) -> None:
    """A trial that is cut off after its first epoch comes to the bits of an undisturbed one, in a new process."""
    images = make_images(train=200)
    config = make_config(images.data_id, **CONFIGS[name])
    placed = place_images(images.arrays, device)
    whole = train_trial(Folder(folder / "whole"), config, images, placed, 3)
    again = train_trial(Folder(folder / "again"), config, images, placed, 3)
    assert again == whole, "not even two trainings in one process come to the same bits"
    train_trial(Folder(folder / "cut"), config, images, placed, 1)
    assert in_processes(device, [(folder / "cut", config, 3)]) == [whole]


def check_two_trials_at_a_time(folder: Path, device: torch.device) -> None:
    """Two processes that share the device, as with `resources.gpus: 0.5`, come to what each comes to alone."""
    images = make_images(train=200)
    configs = [make_config(images.data_id, seed=seed, model={"dropout": 0.2}) for seed in (1, 2)]
    placed = place_images(images.arrays, device)
    alone = [train_trial(Folder(folder / f"alone-{config.seed}"), config, images, placed, 3) for config in configs]
    assert in_processes(device, [(folder / f"both-{config.seed}", config, 3) for config in configs]) == alone


def check_bfloat16(device: torch.device) -> None:
    """Digits in bfloat16 are learned as well as in float32, within two points, and really in another arithmetic."""
    images = digits()
    placed = place_images(images.arrays, device)
    accuracy, weights = {}, {}
    for precision in ("float32", "bfloat16"):
        training = Training(make_config(images.data_id, precision=precision, model={"width": 16}, lr=0.03), placed)
        for _ in range(6):
            training.train_epoch()
        accuracy[precision] = training.evaluate("validation").accuracy
        weights[precision] = training.weights()
    assert min(accuracy.values()) > 0.9
    assert abs(accuracy["float32"] - accuracy["bfloat16"]) <= 0.02
    assert weights["float32"] != weights["bfloat16"]


def check_close_to_the_cpu(device: torch.device) -> None:
    """One net predicts on the device what it predicts on the CPU; TF32 of convolutions, torch's default, keeps ten bits."""
    images = digits()
    config = make_config(images.data_id, model={"width": 16}, lr=0.03)
    here = Training(config, place_images(images.arrays, CPU))
    for _ in range(3):
        here.train_epoch()
    there = Training(config, place_images(images.arrays, device))
    there.restore(3, here.weights(), here.optimizer_state())
    difference = np.abs(here.evaluate("test").probabilities - there.evaluate("test").probabilities).max()
    assert difference < 0.01


def check_no_step_waits(name: str, device: torch.device, forbid_waits: Callable[[], Any]) -> None:
    """No step makes the host wait: `forbid_waits` makes a context that raises where one does."""
    images = make_images(train=200)
    training = Training(make_config(images.data_id, **CONFIGS[name]), place_images(images.arrays, device))
    training.train_epoch()
    train_batch = training.train_batch

    def strict(*given: Any, **named: Any) -> Any:
        with forbid_waits():
            return train_batch(*given, **named)

    training.train_batch = strict  # type: ignore[method-assign]
    training.train_epoch()


def check_memory_between_trials(folder: Path, device: torch.device) -> None:
    """A slot that stands by after a large trial holds as much of the device as after a small one."""
    pytest.importorskip("ray", reason="the trainable of Tune is what lets go, and Ray is not here")
    from trainables.training.ray_trainable import TuneTrial

    images = make_images(train=2048)
    small = make_config(images.data_id, augment={"strength": 0.5})
    large = make_config(images.data_id, **LARGE, l1=1e-4, decay="decoupled", average={"name": "ema"})

    def tune_config(config: TrialConfig) -> dict[str, Any]:
        return {"name": config.trial_id, "trial": config.model_dump_json(), "epoch": 0}

    worker = TuneTrial.__new__(TuneTrial)  # its own constructor asks Ray where it runs
    worker.setup(tune_config(small), images=images.arrays, store=Folder(folder))
    held = []
    for config in (small, large):
        worker.reset_config(tune_config(config))
        assert worker.step()["end"] is None
        peak = int(module_of(device).max_memory_allocated(device))
        worker.reset_config({"name": "standby", "standby": 0.001})
        held.append(held_bytes(device))
    worker.cleanup()
    assert peak > held[1] + 10_000_000
    assert held[1] <= held[0] + 4_000_000  # less than two blocks of CUDA's allocator


def check_out_of_memory(folder: Path, device: torch.device, limit: Callable[[int], Any]) -> None:
    """A batch that does not fit is trained in parts, and the checkpoint says in how many; `limit` leaves so many bytes."""
    images = make_images(train=2048)
    placed = place_images(images.arrays, device)
    config = make_config(images.data_id, **LARGE)
    needs = step_bytes(config, placed, parts=1), step_bytes(config, placed, parts=2)
    assert needs[1] < needs[0]
    store = Folder(folder)
    with limit(sum(needs) // 2):
        train_trial(store, config, images, placed, 1)
    assert read_json_part(store, CheckpointId(config.trial_id, 1), layout.TIMING)["parts"] >= 2


def check_fault(device: torch.device, break_device: Callable[[torch.device], None]) -> None:
    """After a fault from which CUDA does not recover, the error says that the process has to end. Ends this process's device."""
    try:
        break_device(device)
    except Exception as error:
        with pytest.raises(DeviceFault):
            check_device(device, error)
        return
    raise AssertionError("nothing broke")


# Parts of checks


def step_bytes(config: TrialConfig, placed: DeviceImages, parts: int) -> int:
    """What an epoch takes beyond what is held already."""
    release(device := placed.pixels.device)
    before = held_bytes(device)
    training = Training(config, placed, parts)
    module_of(device).reset_peak_memory_stats(device)
    training.train_epoch()
    peak = int(module_of(device).max_memory_allocated(device))
    del training
    release(device)
    return peak - before


def release(device: torch.device) -> None:
    gc.collect()
    module_of(device).empty_cache()


def held_bytes(device: torch.device) -> int:
    """What this process holds of the device, free blocks of the allocator included."""
    return int(module_of(device).memory_reserved(device))


@contextlib.contextmanager
def leave_memory(size_bytes: int) -> Iterator[None]:
    """Meanwhile this process may take so many bytes of its GPU beyond what it holds."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + size_bytes) / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@contextlib.contextmanager
def forbid_cuda_waits() -> Iterator[None]:
    """Meanwhile torch raises where it waits for a GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def read_outside(device: torch.device) -> None:
    """An index beyond a tensor: a kernel's assertion fails, and CUDA answers this process no more."""
    torch.zeros(4, device=device)[torch.full((1,), 1_000_000, device=device)]
    torch.cuda.synchronize(device)


Work = tuple[Path, TrialConfig, int]


def in_processes(device: torch.device, work: list[Work]) -> list[str]:
    """The digests of trials, each trained in a new process, all at a time. Their images are those of the checks."""
    context = multiprocessing.get_context("spawn")
    running = []
    for one in work:
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_train, args=(there, device.type, *one), daemon=True)
        process.start()
        there.close()
        running.append((process, here))
    try:
        messages = []
        for _, pipe in running:
            assert pipe.poll(CHILD_S), "a process that trains has said nothing for too long"
            messages.append(str(pipe.recv()))
        return messages
    finally:
        for process, _ in running:
            process.terminate()
            process.join()


def _train(pipe: Connection, kind: str, folder: Path, config: TrialConfig, epochs: int) -> None:
    device = open_device(1)
    if kind == "second":
        from tests.device.second_device import open_second_device

        device = open_second_device()
    images = make_images(train=200)
    with torch.autograd.set_multithreading_enabled(kind != "second"):
        pipe.send(train_trial(Folder(folder), config, images, place_images(images.arrays, device), epochs))
