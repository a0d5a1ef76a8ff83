"""The benchmark of a GPU run through on the second device, so that a typo is not first found on a GPU."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch

from benchmarks import fusion_probe, gpu
from tests.device.conftest import device, opened  # noqa: F401
from trainables.config.model import ModelConfig


def test_every_figure_is_taken(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    small = {
        name: replace(demo, model=ModelConfig(width=2, blocks=1), train=4 * demo.batch_size, side=6)
        for name, demo in gpu.DEMOS.items()
    }
    monkeypatch.setattr(gpu, "DEMOS", small)
    figures = gpu.measure(device, seconds=0.01, sharing=False)
    assert len(figures) == len(gpu.DEMOS) + 3
    assert all(figure["value"] >= 0 and isinstance(figure["met"], bool) for figure in figures.values())
    assert gpu.describe(device)["device"] == "second"


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["eager", "grouped", "matmul"])
def test_every_way_of_fusing_that_a_cpu_has_learns(strategy: str) -> None:
    assert fusion_probe.measure(strategy, 2 if strategy != "eager" else 1, 4, 4, "cpu", 0.001) > 0


def test_a_strategy_that_does_not_run_is_a_row_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> float:
        raise RuntimeError("no such thing here")

    monkeypatch.setattr(fusion_probe, "measure", fail)
    rows = list(fusion_probe.probe("cuda", ks=(1,)))
    assert [row["strategy"] for row in rows] == ["eager", "graph", "grouped", "matmul", "streams", "processes"]
    assert {row["error"] for row in rows} == {"RuntimeError: no such thing here"}


def test_without_a_gpu_it_says_so_in_a_sentence_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    threads, deterministic = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    try:
        with pytest.raises(SystemExit) as ended:
            gpu.main()
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(deterministic)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert "torch sees no GPU here" in printed.err
