"""A trial trains on a device that is not the CPU as it does on the CPU, and seldom waits for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.device.second_device import Waits, count_waits
from tests.trainables.training.tiny_trials import CPU, make_config, make_images
from trainables.training.device_images import place_images
from trainables.training.training import CHECK_EVERY, Training

IMAGES = make_images(train=160)

CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bfloat16": {"precision": "bfloat16"},
    "adamw": {"name": "adamw", "weight_decay": 0.1, "model": {"dropout": 0.2, "dense": 1}},
    "rmsprop": {"name": "rmsprop", "lr": 0.001, "model": {"convs": 2, "residual": True}},
    "clip and coupled L1": {"clip": 1.0, "l1": 1e-4, "model": {"head": "average", "batch_norm": False}},
    "decoupled decay": {"weight_decay": 0.1, "l1": 1e-4, "decay": "decoupled", "model": {"pooling": "stride"}},
    "ema": {"average": {"name": "ema"}, "precision": "bfloat16"},
    "swa": {"average": {"name": "swa"}, "class_weights": "balanced"},
    "plateau": {"schedule": {"name": "plateau"}, "label_smoothing": 0.1, "model": {"activation": "gelu"}},
    "geometry": {"augment": {"flip": 0.5, "crop": 1, "erasing": 0.5}},
    "affine": {"augment": {"flip": 0.5, "rotation": 10, "shear": 5, "shift": 0.1, "scale": 0.1}},
    "colour": {"augment": {"hue": 0.1, "saturation": 0.3, "exposure": 0.2, "contrast": 0.2, "noise": 0.05}},
    "strength": {"augment": {"strength": 0.5}, "class_weights": "balanced"},
    "mixup and cutmix": {"augment": {"mixup": 0.4, "cutmix": 1.0}, "class_weights": "balanced"},
    "equalised": {"data": {"equalise": "clahe"}},
    "a bag of a share": {"train_share": 0.5, "bag": {"kind": "bootstrap"}},
}

LARGE_BATCH = {"batch_size": 2049, "augment": {"strength": 0.5, "crop": 1, "mixup": 0.2, "noise": 0.1}}
"""Beyond the pool of draws: each of its batches draws again."""


QUICK = {"plain", "ema", "strength"}
"""The others are among the long tests; that no step waits is asked of all."""


def state_of(training: Training) -> tuple[bytes, bytes, bytes]:
    return training.weights(), training.optimizer_state(), training.evaluate("test").probabilities.tobytes()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in CONFIGS]
)
def test_a_trial_comes_to_the_bits_of_the_cpu_and_resumes_to_them(device: torch.device, name: str) -> None:
    config = make_config(**CONFIGS[name])
    found = []
    for where in (CPU, device):
        images = place_images(IMAGES.arrays, where)
        training = Training(config, images)
        for _ in range(2):
            training.train_epoch()
            training.evaluate("validation")
        found.append(state_of(training))
        first = Training(config, images)
        first.train_epoch()
        first.evaluate("validation")
        second = Training(config, images)
        second.restore(1, first.weights(), first.optimizer_state())
        second.train_epoch()
        assert second.statistics == training.statistics
        second.evaluate("validation")
        assert state_of(second) == found[-1]
    assert found[0] == found[1]


def test_a_batch_in_parts_comes_to_the_bits_of_the_cpu(device: torch.device) -> None:
    found = []
    for where in (CPU, device):
        training = Training(make_config(augment={"strength": 0.5}), place_images(IMAGES.arrays, where), parts=2)
        training.train_epoch()
        found.append(state_of(training))
    assert found[0] == found[1]


def test_weights_of_images_and_what_is_wrong_come_to_the_bits_of_the_cpu(device: torch.device) -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(160))
    found = []
    for where in (CPU, device):
        training = Training(make_config(), place_images(IMAGES.arrays, where), image_weights=weights)
        training.train_epoch()
        found.append((*state_of(training), training.find_wrong().tobytes()))
    assert found[0] == found[1]


@pytest.mark.long
def test_group_norm_whose_input_torch_copies_to_another_layout_on_all_devices_but_the_cpu_comes_close_to_it(
    device: torch.device,
) -> None:
    found = []
    for where in (CPU, device):
        training = Training(make_config(model={"group_norm": True}), place_images(IMAGES.arrays, where))
        training.train_epoch()
        found.append(training.evaluate("test").probabilities)
    assert found[0] == pytest.approx(found[1], abs=1e-5)


# Waiting


def steps_and_epoch(training: Training) -> tuple[int, Waits, Waits]:
    """How many steps an epoch had, and what was waited for within them and in all, after one to warm up."""
    training.train_epoch()
    within = Waits()
    train_batch = training.train_batch
    steps = 0

    def counted(*given: Any, **named: Any) -> Any:
        nonlocal steps
        begun = len(waits)
        result = train_batch(*given, **named)
        within.heard += waits.heard[begun:]
        steps += 1
        return result

    training.train_batch = counted  # type: ignore[method-assign]
    with count_waits() as waits:
        training.train_epoch()
    return steps, within, waits


@pytest.mark.parametrize("name", [*CONFIGS, "a large batch"])
def test_no_step_waits_for_the_device_and_no_copy_to_it_is_made_within_one(device: torch.device, name: str) -> None:
    config = make_config(**CONFIGS.get(name, LARGE_BATCH))
    images = make_images(train=2049) if name == "a large batch" else IMAGES
    steps, within, _ = steps_and_epoch(Training(config, place_images(images.arrays, device)))
    assert steps >= 1
    assert within.by_place() == {}


def test_an_epoch_waits_once_in_sixteen_steps_and_at_its_end_a_number_of_times_that_does_not_grow(
    device: torch.device,
) -> None:
    counts = {}
    for train in (4 * 32, 4 * 96):
        training = Training(make_config(batch_size=4), place_images(make_images(train=train).arrays, device))
        steps, _, waits = steps_and_epoch(training)
        counts[steps] = len(waits)
    assert list(counts) == [32, 96]
    assert counts[96] - counts[32] == (96 - 32) / CHECK_EVERY
    assert counts[32] <= 2 + 20  # layers: two are monitored, four synchronisations each


def test_prediction_waits_for_its_answers_alone_however_many_batches_there_are(device: torch.device) -> None:
    training = Training(make_config(), place_images(make_images(train=400).arrays, device))
    with count_waits() as waits:
        training.evaluate("train")
    assert len(waits) == 4, waits.by_place()


# Bits on a GPU

VARYING = {
    "_adaptive_avg_pool2d_backward",
    "avg_pool3d_backward",
    "adaptive_max_pool2d_backward",
    "max_pool2d_with_indices_backward",
    "upsample_bilinear2d_backward",
    "upsample_linear1d_backward",
    "reflection_pad2d_backward",
    "replication_pad2d_backward",
    "grid_sampler_2d_backward",
    "nll_loss2d_forward",
    "nll_loss2d_backward",
    "embedding_bag",
    "put_",
    "histc",
    "bincount",
    "kthvalue",
    "median",
    "cumsum",
    "scatter_add",
    "scatter_reduce",
    "index_add",
    "index_put",
    "index_copy",
}
"""Operations whose sums CUDA takes in no fixed order, or for which torch has no deterministic kernel there."""

EXACT = {
    "histc": "counts of at most 4,096 are exact in float32 in any order",
    "median": "its value alone is read, not where it was found",
    "max_pool2d_with_indices_backward": "windows do not overlap, so each sum has one term",
}


class Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(isinstance(one, torch.Tensor) and one.device.type == "second" for one in args):
            self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.long
def test_every_operation_of_an_epoch_has_the_same_bits_each_time_on_a_gpu_or_is_exact_in_any_order(
    device: torch.device,
) -> None:
    images = place_images(make_images(train=32).arrays, device)
    with Seen() as seen:
        for keys in CONFIGS.values():
            training = Training(make_config(**keys), images)
            training.train_epoch()
            training.evaluate("validation")
    assert "convolution_backward" in seen.names or "convolution_backward_overrideable" in seen.names
    found = {name for name in VARYING if seen.names & {name, f"{name}_", f"_{name}"}}
    assert found == EXACT.keys()
