"""A person's own model: found, called with its keys, part of the trial's name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from trainables.config.model import ModelConfig
from trainables.config.trial import TrialConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import ModelUnusable
from trainables.models.build import build_model
from trainables.plugins.trust import trust

SHAPE = ImageShape(8, 8, 1, 10)

CODE = """
from torch import nn

calls = []

def build(shape, width=3, *, depth=1, stem="plain"):
    calls.append({"shape": shape, "width": width, "depth": depth, "stem": stem})
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, shape.classes))

def takes_all(shape, **keys):
    calls.append(keys)
    return nn.Linear(1, 1)

def nothing():
    return nn.Linear(1, 1)

def text(shape):
    return "net"

def broken(shape):
    return 1 / 0

NUMBER = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module of a name of its own in the current folder, which is not on Python's path."""
    name = f"own_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    functions = ("build", "takes_all", "buidl", "NUMBER", "nothing", "text", "broken")
    trust([*(f"{name}:{function}" for function in functions), "no_such_module_anywhere:build"])
    return name


def calls(module: str) -> list[dict[str, object]]:
    import importlib

    return list(importlib.import_module(module).calls)


def test_it_is_called_with_the_keys_that_its_signature_names(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = build_model(ModelConfig(name=f"{module}:build", depth=4), SHAPE, 0)
    assert isinstance(net, nn.Sequential)
    monkeypatch.syspath_prepend(Path.cwd())
    # `width` is a key of `cnn`, with its default; `depth` is its own; of `stem` nothing is said
    assert calls(module) == [{"shape": SHAPE, "width": 16, "depth": 4, "stem": "plain"}]


def test_one_that_takes_all_gets_its_own_keys_alone(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build_model(ModelConfig(name=f"{module}:takes_all", depth=4, stem="wide"), SHAPE, 0)
    monkeypatch.syspath_prepend(Path.cwd())
    assert calls(module) == [{"depth": 4, "stem": "wide"}]


def test_its_first_weights_follow_from_the_seed_alone(module: str) -> None:
    def first(seed: int) -> torch.Tensor:
        net = build_model(ModelConfig(name=f"{module}:build"), SHAPE, seed)
        return next(net.parameters()).detach()

    one = first(1)
    torch.rand(3)
    assert torch.equal(first(1), one)
    assert not torch.equal(first(2), one)


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("{m}:build", {"dept": 3}, "model.dept is 3, but .*:build takes no dept: it takes depth, stem, width"),
        ("{m}:build", {"kernel": 5}, "model.kernel is 5, but .*:build takes no kernel"),
        ("{m}:takes_all", {"kernel": 5}, "model.kernel is 5, but .* takes no kernel"),
        ("{m}:buidl", {}, "has no function buidl; it has build, takes_all"),
        ("{m}:NUMBER", {}, "has no function NUMBER"),
        ("{m}:nothing", {}, "takes nothing, but is called with the shape"),
        ("{m}:text", {}, "it returned str, no torch.nn.Module"),
        ("{m}:broken", {}, "it raised ZeroDivisionError: division by zero"),
        ("no_such_module_anywhere:build", {}, "cannot be imported .*put it into the folder of the sweep file"),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_reason(
    module: str, name: str, keys: dict[str, object], said: str
) -> None:
    with pytest.raises(ModelUnusable, match=said):
        build_model(ModelConfig.model_validate({"name": name.format(m=module), **keys}), SHAPE, 0)


def test_a_model_that_no_person_has_named_is_not_even_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unasked.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelUnusable, match=r"unasked:build: a store or a bundle says so, and not you.*--custom-code"):
        build_model(ModelConfig(name="unasked:build"), SHAPE, 0)
    assert not (tmp_path / "ran").exists()


def test_keys_of_its_own_are_part_of_the_trials_name() -> None:
    def trial(**keys: object) -> TrialConfig:
        return TrialConfig(data_id="d", seed=0, model=ModelConfig.model_validate({"name": "a:b", **keys}))

    assert len({trial().trial_id, trial(depth=3).trial_id, trial(depth=4).trial_id, trial(stem=3).trial_id}) == 4
    assert trial(depth=3).flat()["model.depth"] == 3
    again = TrialConfig.model_validate(trial(depth=3).model_dump(mode="json", exclude_defaults=True))
    assert (again, again.trial_id) == (trial(depth=3), trial(depth=3).trial_id)


@pytest.mark.parametrize("name", ["cnn", "torchvision/resnet18", "timm/resnet18"])
def test_no_other_model_has_keys_that_are_not_known(name: str) -> None:
    with pytest.raises(ValidationError, match=r"depth\n.*Extra inputs are not permitted"):
        ModelConfig.model_validate({"name": name, "depth": 3})


@pytest.mark.parametrize("value", [[1], {"a": 1}, float("nan"), float("inf")], ids=str)
def test_a_key_of_its_own_is_a_plain_value(value: object) -> None:
    with pytest.raises(ValidationError):
        ModelConfig.model_validate({"name": "a:b", "depth": value})
