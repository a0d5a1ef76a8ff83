"""The checks of tests/gpu run through on the second device, so that a typo is not first found on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.device.second_device import allocated_bytes, count_waits, limit_memory
from tests.gpu import checks, test_gpu


@contextlib.contextmanager
def forbid_waits() -> Iterator[None]:
    with count_waits() as waits:
        yield
    assert waits.by_place() == {}


def leave_memory(size_bytes: int) -> Any:
    return limit_memory(allocated_bytes() + size_bytes)


@pytest.mark.long
def test_resuming_in_another_process(device: torch.device, tmp_path: Path) -> None:
    checks.check_resuming_in_another_process("bfloat16, dropout, ema", tmp_path, device)


@pytest.mark.long
def test_two_trials_at_a_time(device: torch.device, tmp_path: Path) -> None:
    checks.check_two_trials_at_a_time(tmp_path, device)


@pytest.mark.long
def test_bfloat16_and_the_cpus_predictions(device: torch.device) -> None:
    checks.check_bfloat16(device)
    checks.check_close_to_the_cpu(device)


@pytest.mark.parametrize("name", [name for name in checks.CONFIGS if name != "resnet18"])
def test_no_step_waits(device: torch.device, name: str) -> None:
    checks.check_no_step_waits(name, device, forbid_waits)


@pytest.mark.long
def test_memory_between_trials_and_a_batch_that_does_not_fit(device: torch.device, tmp_path: Path) -> None:
    checks.check_memory_between_trials(tmp_path / "between", device)
    checks.check_out_of_memory(tmp_path / "out", device, leave_memory)


def test_a_fault(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    monkeypatch.setattr("torch.second.synchronize", refuse)
    checks.check_fault(device, refuse)


def test_without_a_gpu_they_are_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(pytest.skip.Exception, match="torch sees no GPU here"):
        test_gpu.gpu.__wrapped__()  # type: ignore[attr-defined]
