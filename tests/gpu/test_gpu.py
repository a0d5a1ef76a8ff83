"""What only a GPU can tell. `make test-gpu` runs these alone; without a GPU they are skipped."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch

from tests.gpu import checks
from trainables.hardware.device import open_device
from trainables.training.precision import resolve_precision
from trainables.training.training import Training

pytestmark = pytest.mark.gpu


@pytest.fixture
def gpu() -> torch.device:
    device = open_device(1)
    if device.type != "cuda":
        pytest.skip("torch sees no GPU here")
    return device


@pytest.mark.parametrize("name", checks.CONFIGS)
def test_a_trial_resumes_to_the_same_bits_in_another_process(gpu: torch.device, tmp_path: Path, name: str) -> None:
    checks.check_resuming_in_another_process(name, tmp_path, gpu)


def test_two_trials_on_one_gpu_come_to_what_each_comes_to_alone(gpu: torch.device, tmp_path: Path) -> None:
    checks.check_two_trials_at_a_time(tmp_path, gpu)


def test_bfloat16_learns_as_well_as_float32(gpu: torch.device) -> None:
    checks.check_bfloat16(gpu)


def test_auto_is_bfloat16_only_where_the_gpu_has_units_for_it(gpu: torch.device) -> None:
    has_units = torch.version.hip is not None or torch.cuda.get_device_capability(gpu)[0] >= 8
    assert resolve_precision("auto", gpu) == ("bfloat16" if has_units else "float32")


def test_a_net_predicts_on_a_gpu_what_it_predicts_on_the_cpu(gpu: torch.device) -> None:
    checks.check_close_to_the_cpu(gpu)


@pytest.mark.parametrize("name", checks.CONFIGS)
def test_no_step_waits_for_the_gpu(gpu: torch.device, name: str) -> None:
    checks.check_no_step_waits(name, gpu, checks.forbid_cuda_waits)


def test_memory_is_given_back_between_trials(gpu: torch.device, tmp_path: Path) -> None:
    checks.check_memory_between_trials(tmp_path, gpu)


def test_a_batch_that_does_not_fit_is_survived(gpu: torch.device, tmp_path: Path) -> None:
    checks.check_out_of_memory(tmp_path, gpu, checks.leave_memory)


def test_the_memory_of_a_step_is_what_the_gpu_measures(gpu: torch.device) -> None:
    images = checks.make_images(train=2048)
    training = Training(checks.make_config(**checks.LARGE), checks.place_images(images.arrays, gpu))
    training.train_epoch()
    training.evaluate("test")
    cost = training.cost()
    assert cost.step_bytes_measured
    assert cost.step_bytes > 10_000_000
    assert training.circumstances()["device"] == torch.cuda.get_device_name(gpu)


def test_a_gpu_that_stops_working_is_distinguished_from_a_trial_that_fails(gpu: torch.device) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_break)
    process.start()
    process.join(checks.CHILD_S)
    assert process.exitcode == 0


def _break() -> None:
    """In a process of its own, whose GPU is lost."""
    checks.check_fault(open_device(1), checks.read_outside)
