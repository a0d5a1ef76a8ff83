"""One batch before the sweep: what is found, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import ModelUnusable
from trainables.models.check import IMAGES, check_model, find_device_fault
from trainables.plugins.trust import trust

SHAPE = ImageShape(8, 8, 1, 10)

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, fault):
        super().__init__()
        self.fault = fault
        self.inner = nn.Linear(64, 10)
        self.spare = nn.Linear(2, 2) if fault == "spare" else None
        if fault == "tied":
            self.again = nn.Linear(64, 10)
            self.again.weight = self.inner.weight
        if fault == "nan":
            nn.init.constant_(self.inner.weight, float("nan"))

    def forward(self, images):
        logits = self.inner(images.flatten(1))
        if self.fault == "tied":
            logits = logits + self.again(images.flatten(1))
        if self.fault == "shape":
            return logits[:, :9]
        if self.fault == "pair":
            return logits, logits
        if self.fault == "detached":
            return logits.detach()
        if self.fault == "gradient":
            return torch.sqrt(logits * 0)
        if self.fault == "cpu":
            return logits + torch.zeros(len(logits), 10)
        if self.fault == "raises":
            return logits.reshape(3, 3)
        return logits

def build(shape, fault=""):
    return nn.Flatten() if fault == "empty" else Net(fault)
"""


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("own")
    (folder / "checked_nets.py").write_text(CODE)
    trust(["checked_nets:build"])
    return str(folder)


def check(folder: str, monkeypatch: pytest.MonkeyPatch, fault: str) -> object:
    monkeypatch.syspath_prepend(Path(folder))
    return check_model(ModelConfig(name="checked_nets:build", fault=fault), SHAPE)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("shape", r"of 4 images in 10 classes it returns \(4, 9\), but logits are \(4, 10\): give its last layer"),
        ("pair", "it returns tuple, but logits are"),
        ("nan", "its loss on fresh weights is nan"),
        ("detached", "its logits know no gradient"),
        ("gradient", "the gradient of inner.weight is no finite number"),
        ("spare", "no gradient reaches spare.weight: use it in `forward`, remove it"),
        ("tied", "a checkpoint cannot hold its tensors"),
        ("raises", r"given images of shape \(4, 1, 8, 8\) it raised RuntimeError"),
        ("empty", "no parameters to train"),
    ],
)
def test_a_net_that_cannot_be_trained_is_refused_with_what_to_repair(
    name: str, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    with pytest.raises(ModelUnusable, match=said):
        check(name, monkeypatch, fault)


def test_a_good_net_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(name))
    found = check_model(ModelConfig(name="checked_nets:build"), SHAPE)
    assert found.parameters == 650
    assert found.images == IMAGES
    assert 0 < found.step_s < 60
    # weights, gradients and a moment, and of each image its pixels and what the layer keeps of them
    assert found.step_bytes >= 3 * 4 * 650 + IMAGES * 64 * 4


@pytest.mark.parametrize("model", ["torchvision/resnet18", "torchvision/mobilenet_v3_small"])
def test_torchvisions_nets_pass(model: str) -> None:
    assert check_model(ModelConfig(name=model), SHAPE).parameters > 10_000


class Placed(nn.Module):
    """Uses tensors of its own in a way that a GPU takes, or does not."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.inner = nn.Linear(64, 10)
        self.kept = torch.ones(10)
        self.register_buffer("registered", torch.ones(10))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images.flatten(1))
        match self.way:
            case "attribute":
                return logits + self.kept
            case "made":
                return logits + torch.zeros(len(images), 10)
            case "stacked":
                return torch.cat([logits[:, :9], torch.ones(len(logits), 1)], 1)
            case "mask":
                return logits.masked_fill(torch.zeros(10, dtype=torch.bool), 0.0)
            case "chosen":
                return torch.where(self.kept > 0, logits, torch.zeros(10))
            case "registered":
                return logits * self.registered
            case "made there":
                return logits + torch.zeros(len(images), 10, device=images.device)
            case "moved":
                return logits + self.kept.to(logits.device)
            case "number":
                return logits * torch.tensor(2.0)
            case "value":
                return logits * 2 if float(logits.detach().sum()) > 0 else logits
        return logits


@pytest.mark.parametrize("way", ["attribute", "made", "stacked", "mask", "chosen"])
def test_a_net_that_would_fail_on_a_gpu_is_found_without_one(way: str) -> None:
    net, images = Placed(way), torch.rand(4, 1, 8, 8)
    net(images)
    assert find_device_fault(net, images).startswith("on a GPU it would fail in every trial, for its `forward` mixes")


@pytest.mark.parametrize("way", ["plain", "registered", "made there", "moved", "number", "value"])
def test_a_net_that_a_gpu_takes_is_not_suspected(way: str) -> None:
    net, images = Placed(way), torch.rand(4, 1, 8, 8)
    assert find_device_fault(net, images) == ""
    assert {value.device.type for value in net.state_dict().values()} == {"cpu"}


def test_the_check_of_a_user_defined_net_says_where_it_works(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(name))
    assert check_model(ModelConfig(name="checked_nets:build"), SHAPE).only_on_cpu == ""
    found = check_model(ModelConfig(name="checked_nets:build", fault="cpu"), SHAPE)
    assert "register_buffer" in found.only_on_cpu
