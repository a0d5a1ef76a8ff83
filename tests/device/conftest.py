"""The second device, opened once; all that happens on it happens in the thread of the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.device.second_device import NoCompiler, open_second_device
from trainables.models import cost
from trainables.training import training


@pytest.fixture(scope="session")
def opened() -> torch.device:
    try:
        return open_second_device()
    except NoCompiler as error:
        pytest.skip(str(error))


@pytest.fixture
def device(opened: torch.device, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """`torch.device("second:0")`, which all of Caucus takes for the one to train on meanwhile.

    Predictions go in batches as large as on a CPU, so that both come to the same bits. An architecture's cost is measured
    again. One thread: torch starts one for each device at the first backward pass of a process, before this one was there.
    """
    monkeypatch.setattr("trainables.hardware.device.choose_device", lambda *_, **__: opened)
    monkeypatch.setitem(training.EVALUATION_BATCH, "cuda", training.EVALUATION_BATCH["cpu"])
    monkeypatch.setattr(cost, "_known", {})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads, deterministic = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(1)
    with torch.autograd.set_multithreading_enabled(False):
        yield opened
    torch.set_deterministic_debug_mode(deterministic)
    torch.set_num_threads(threads)
