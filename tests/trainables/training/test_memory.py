"""A batch that does not fit is taken in parts, and what says so is recognised."""

from __future__ import annotations

import pytest
import torch

from trainables.errors import OutOfMemory
from trainables.training.memory import PredictionBatch, first_line, is_out_of_memory, more_parts

CPU_SAYS = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4398046511104 bytes."


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (MemoryError("Unable to allocate 3 TiB"), True),
        (RuntimeError(CPU_SAYS), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("size mismatch"), False),
        (ValueError("can't allocate memory"), False),
        (OutOfMemory("out of memory: given up already"), False),
    ],
)
def test_what_is_raised_without_memory_is_recognised(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) == expected


def test_what_torch_really_raises_on_a_cpu_is_recognised() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 50)
    assert is_out_of_memory(raised.value)


def test_parts_are_doubled_down_to_eight_images() -> None:
    assert [more_parts(parts, 70, "full") for parts in (1, 2, 4)] == [2, 4, 8]
    with pytest.raises(
        OutOfMemory, match=r"^out of memory: a batch of 70 images does not fit in 8 parts of 9 \(full\): "
    ):
        more_parts(8, 70, "full")
    with pytest.raises(OutOfMemory, match="a batch of 15 images does not fit as a whole"):
        more_parts(1, 15, "full")


def test_the_first_line_of_a_message_is_shown_or_the_class_of_the_error() -> None:
    assert first_line(RuntimeError("one\ntwo")) == "one"
    assert first_line(MemoryError()) == "MemoryError"


def test_prediction_starts_again_with_half_the_images_until_they_fit() -> None:
    tried: list[int] = []

    def act(images: int) -> str:
        tried.append(images)
        if images > 40:
            raise MemoryError
        return "done"

    batch = PredictionBatch(125)
    assert batch.fit(act) == "done"
    assert batch.fit(act) == "done"
    assert tried == [125, 62, 31, 31]  # and stays there


def test_prediction_gives_up_where_few_images_do_not_fit_and_at_once_on_other_errors() -> None:
    def full(_: int) -> None:
        raise MemoryError("no room")

    with pytest.raises(OutOfMemory, match=r"not even 15 images at a time can be predicted \(no room\)"):
        PredictionBatch(125).fit(full)

    def broken(_: int) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match=r"^broken$"):
        PredictionBatch(125).fit(broken)
