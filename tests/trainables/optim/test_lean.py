"""Optimizers without torch's compiler take the steps of torch's own."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from trainables.optim import lean

CASES = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "fused": True, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.01, "fused": True}),
    ("AdamW", {"lr": 0.01, "fused": True, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9}),
]


@pytest.mark.parametrize(("kind", "keys"), CASES, ids=[kind for kind, _ in CASES])
def test_the_steps_are_those_of_torch_bit_for_bit_and_hooks_are_called(kind, keys) -> None:
    left = []
    for module in (lean, torch.optim):
        torch.manual_seed(0)
        net = torch.nn.Linear(5, 3)
        optimizer = getattr(module, kind)(net.parameters(), **keys)
        called: list[int] = []
        optimizer.register_step_pre_hook(lambda *_, called=called: called.append(1))
        optimizer.register_step_post_hook(lambda *_, called=called: called.append(2))
        for step in range(20):
            optimizer.zero_grad()
            net(torch.randn(7, 5, generator=torch.Generator().manual_seed(step))).pow(2).sum().backward()
            optimizer.step()
        assert called == [1, 2] * 20
        state = [value for held in optimizer.state_dict()["state"].values() for value in held.values()]
        left.append([*net.parameters(), *(value for value in state if torch.is_tensor(value))])
    assert len(left[0]) == len(left[1]) > 2
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*left, strict=True))
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_a_training_step_imports_no_compiler() -> None:
    program = """
import sys
from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.training.training import Training
for name in ("sgd", "adam", "adamw", "rmsprop"):
    training = Training(make_config(name=name), place(make_images()))
    training.train_epoch(); training.evaluate("validation")
print(sorted(name for name in sys.modules if name.partition("_dynamo")[0] == "torch." or name.startswith("torch._inductor"))[:3])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
