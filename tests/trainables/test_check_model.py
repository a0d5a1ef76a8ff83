"""One batch before the sweep: what is found, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables.check_model import IMAGES, check_model
from trainables.config import ModelConfig
from trainables.errors import ModelUnusable
from trainables.image_shape import ImageShape
from trainables.trusted_code import trust

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
        told = self.inner(images.flatten(1))
        if self.fault == "tied":
            told = told + self.again(images.flatten(1))
        if self.fault == "shape":
            return told[:, :9]
        if self.fault == "pair":
            return told, told
        if self.fault == "detached":
            return told.detach()
        if self.fault == "gradient":
            return torch.sqrt(told * 0)
        if self.fault == "raises":
            return told.reshape(3, 3)
        return told

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
        ("shape", r"of 4 images in 10 classes it tells \(4, 9\), but logits are \(4, 10\): give its last layer"),
        ("pair", "it tells tuple, but logits are"),
        ("nan", "its loss on fresh weights is nan"),
        ("detached", "its logits know no gradient"),
        ("gradient", "the gradient of inner.weight is no finite number"),
        ("spare", "no gradient reaches spare.weight: use it in `forward`, remove it"),
        ("tied", "a checkpoint cannot hold its tensors"),
        ("raises", r"given images of shape \(4, 1, 8, 8\) it raised RuntimeError"),
        ("empty", "no parameters to train"),
    ],
)
def test_a_net_that_cannot_be_trained_is_refused_with_what_to_mend(
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
