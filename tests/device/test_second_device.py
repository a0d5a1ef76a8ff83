"""The second device is as strict as CUDA: what it refuses, and what it counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.device.second_device import allocated_bytes, count_waits, limit_memory
from trainables.training.memory import is_out_of_memory

Act = Callable[[Tensor, Tensor], object]

MIXES: dict[str, Act] = {
    "sum": lambda there, here: there + here,
    "product": lambda there, here: there @ here,
    "layer": lambda there, here: functional.linear(there, here),
    "stack": lambda there, here: torch.stack([there, here]),
    "in place": lambda there, here: there.mul_(here),
    "index": lambda there, here: there[torch.tensor([0])],
    "written index": lambda there, here: there.index_put_((torch.tensor([0]),), there[0]),
    "choice": lambda there, here: torch.where(there > 0, there, here),
    "gradient": lambda there, here: functional.cross_entropy(there, torch.tensor([0, 1])),
    "convolution": lambda there, here: functional.conv2d(there[None, None], here[None, None]),
    "many at once": lambda there, here: torch._foreach_add_([there], [here]),
    "a layer's number": lambda there, here: functional.linear(there, there, torch.tensor(1.0)),
    "a generator": lambda there, here: torch.rand(2, device=there.device, generator=torch.Generator()),
}


@pytest.mark.parametrize("name", MIXES)
def test_tensors_of_two_devices_in_one_operation_are_refused(device: torch.device, name: str) -> None:
    here = torch.rand(2, 2)
    with pytest.raises(RuntimeError, match=r"device|Input type .* should be the same"):
        MIXES[name](here.to(device), here)


def test_a_number_may_come_from_the_cpu_where_cuda_lets_it(device: torch.device) -> None:
    there = torch.ones(2, device=device)
    assert (there * torch.tensor(3.0)).tolist() == [3.0, 3.0]
    assert there.add_(torch.tensor(1.0), alpha=2).tolist() == [3.0, 3.0]


WAITS: dict[str, tuple[Callable[[Tensor], object], list[str]]] = {
    "float": (lambda there: float(there[0]), ["_local_scalar_dense"]),
    "item": (lambda there: there[0].item(), ["_local_scalar_dense"]),
    "bool": (lambda there: bool((there > 0).all()), ["_local_scalar_dense"]),
    "tolist": (lambda there: there.tolist(), ["copy to the host"]),
    "cpu": (lambda there: there.cpu(), ["copy to the host"]),
    "mask": (lambda there: there[there > 0], ["nonzero"]),
    "written mask": (lambda there: there.index_put_((there > 9,), there[0]), ["_index_put_impl_"]),
    "nonzero": (lambda there: there.nonzero(), ["nonzero"]),
    "a new tensor": (lambda there: torch.tensor([1.0], device=there.device), ["copy to the device"]),
    "to the device": (lambda there: torch.ones(3).to(there.device), ["copy to the device"]),
    "equal": (lambda there: torch.equal(there, there), ["equal"]),
    "filled there": (lambda there: torch.full((3,), 2.0, device=there.device), []),
    "arithmetic": (lambda there: (there * 2 + 1).sum().sqrt(), []),
    "counted there": (lambda there: torch.arange(5, device=there.device)[1:3] + 1, []),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_a_gpu_is_waited_for_is_counted(device: torch.device, name: str) -> None:
    act, expected = WAITS[name]
    there = torch.ones(3, device=device)
    with count_waits() as waits:
        act(there)
    assert [wait.operation for wait in waits.heard] == expected


def test_memory_has_an_end_and_is_given_back(device: torch.device) -> None:
    before = allocated_bytes()
    held = torch.ones(1000, device=device)
    assert allocated_bytes() - before == 4000
    with limit_memory(before + 5000), pytest.raises(torch.OutOfMemoryError) as raised:
        held * 2
    assert is_out_of_memory(raised.value)
    view = held[1:]
    del held, raised
    assert allocated_bytes() - before == 4000
    del view
    assert allocated_bytes() == before


def test_its_draws_and_sums_have_the_bits_of_the_cpu(device: torch.device) -> None:
    def make(where: torch.device) -> Tensor:
        generator = torch.Generator(where).manual_seed(3)
        drawn = torch.rand(4, 5, device=where, generator=generator)
        return (drawn @ drawn.t()).softmax(1)

    assert torch.equal(make(device).cpu(), make(torch.device("cpu")))
