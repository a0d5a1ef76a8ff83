"""Nets are checked before a sweep: which ones, in a child process, and with which messages."""

import subprocess
import sys

import numpy as np
import pytest

from runner.config.checks import parse_spec
from runner.preflight.model_check import _choose, _examples, check_models
from tests.sample_runs.sweeps import CAUCUS
from trainables.data.images import ImageSet
from trainables.errors import ModelUnusable
from trainables.plugins.trust import trust

CODE = """
import torch
from torch import nn
class Adds(nn.Linear):
    def forward(self, images):
        return super().forward(images.flatten(1)) + torch.zeros(len(images), 3)
def build(shape, width=4, depth=1):
    if depth == 3:
        import os
        os._exit(9)
    if depth == 4:
        return Adds(64, 3)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, shape.classes + (depth == 2)))
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    (tmp_path / "nets_to_check.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    trust(["nets_to_check:build"])
    return "nets_to_check:build"


def make_images():
    splits = np.repeat(np.array([0, 1, 2], np.int8), 10)
    labels = np.arange(30) % 3
    pixels = np.zeros((30, 8, 8, 1), np.uint8)
    return ImageSet("blank", pixels, labels, tuple(map(str, range(30))), ("a", "b", "c"), splits)


def parse(**parts):
    return parse_spec({"name": "s", "data": {"name": "digits"}, **parts}, "s.yaml")


def test_the_plain_net_needs_no_process(monkeypatch):
    monkeypatch.setattr("multiprocessing.get_context", lambda _: pytest.fail("a process was started"))
    spec = parse(search={"space": {"model.width": {"choice": [4, 8]}}})
    assert check_models(spec, make_images(), [spec.trial("d", {"model.width": 4})], {}) == []


def test_one_of_each_name_is_checked_and_equal_ones_once(code):
    space = {"model.name": {"choice": ["cnn", "torchvision/resnet18", code]}, "optimizer.lr": {"log": [1e-4, 1e-1]}}
    spec = parse(search={"method": "tpe", "trials": 8, "space": space})
    trials = [spec.trial("d", {"model.name": name, "optimizer.lr": lr}) for name in ("cnn", code) for lr in (0.1, 0.2)]
    assert [net.name for net in _choose([*trials, *_examples(spec, "d")])] == [code, "torchvision/resnet18"]


def test_a_good_net_passes_and_a_wrong_one_is_refused(code):
    spec = parse(model={"name": code})
    (found,) = check_models(spec, make_images(), [spec.trial("d", {"model.width": 5})], {})[:1]
    assert found["parameters"] == 65 * 5 + 6 * 3
    wrong = parse(model={"name": code, "depth": 2})
    with pytest.raises(ModelUnusable, match=r"it returns \(4, 4\), but logits are \(4, 3\)"):
        check_models(wrong, make_images(), [], {})


def test_a_net_that_only_a_cpu_takes_is_refused_if_the_sweep_asks_for_gpus_and_else_reported(code):
    (net,) = check_models(parse(model={"name": code, "depth": 4}), make_images(), [], {})
    assert net["name"] == code
    assert net["only_on_cpu"].startswith("on a GPU it would fail in every trial")
    asking = parse(model={"name": code, "depth": 4}, resources={"gpus": 0.5})
    with pytest.raises(ModelUnusable, match=rf"^model.name is {code}: on a GPU it would fail in every trial"):
        check_models(asking, make_images(), [], {})


def test_a_net_that_kills_its_process_kills_no_more(code):
    with pytest.raises(ModelUnusable, match="the process that took one batch through it died"):
        check_models(parse(model={"name": code, "depth": 3}), make_images(), [], {})


def test_an_unknown_name_ends_a_run_before_anything_is_written(tmp_path):
    arguments = ["digits.yaml", "model.name=torchvision/resnet81", f"store={tmp_path / 'store'}"]
    (tmp_path / "digits.yaml").write_text(
        "data: {name: digits}\nsearch: {method: grid, space: {optimizer.lr: {choice: [0.1, 0.2]}}}\n"
    )
    done = subprocess.run([*CAUCUS, "run", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "torchvision has no classifier of that name; did you mean resnet18" in done.stderr
    assert not (tmp_path / "store").exists()


def test_the_driver_does_not_import_torch():
    done = subprocess.run([sys.executable, "-c", "import runner.pipeline, sys; sys.exit('torch' in sys.modules)"])
    assert done.returncode == 0
