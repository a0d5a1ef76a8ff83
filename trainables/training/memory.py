"""Detects that a device is out of memory, and divides batches into parts then."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from trainables.errors import OutOfMemory

SMALLEST_PART = 8
"""Images in the smallest part. A net whose steps do not fit with so few is too large for the device; a smaller batch is never
divided."""

OUT_OF_MEMORY_TEXTS = (
    "DefaultCPUAllocator",
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
)
"""Parts of the messages of a RuntimeError: torch has an exception class for CUDA's allocator alone. Where another process has
taken the last memory, CUDA itself raises an error (`torch.AcceleratorError`), and cuBLAS cannot be initialised."""


T = TypeVar("T")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or numpy raised `error` for lack of memory. Where Linux kills the process instead, nothing is raised."""
    if isinstance(error, OutOfMemory):
        return False
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY_TEXTS)


def more_parts(parts: int, batch_size: int, message: str) -> int:
    """Twice as many parts for a batch that did not fit in `parts`. Raises `OutOfMemory` where they would be too small."""
    if batch_size // (2 * parts) < SMALLEST_PART:
        tried = f"in {parts} parts of {-(-batch_size // parts)}" if parts > 1 else "as a whole"
        raise OutOfMemory(
            f"out of memory: a batch of {batch_size} images does not fit {tried} ({message}): "
            "take a smaller model or smaller images, or fewer trials at a time on this device"
        )
    return 2 * parts


class PredictionBatch:
    """The number of images in a prediction batch, which is reduced where they do not fit into memory."""

    def __init__(self, images: int) -> None:
        self.images = images

    def fit(self, act: Callable[[int], T]) -> T:
        """The result of `act` with the present number of images in a batch; it is repeated with half of them where they do not fit.

        Raises `OutOfMemory` where even few images do not fit.
        """
        while True:
            try:
                return act(self.images)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                message = first_line(error)
            if self.images < 2 * SMALLEST_PART:
                raise OutOfMemory(
                    f"out of memory: not even {self.images} images at a time can be predicted ({message}): "
                    "take a smaller model or smaller images, or fewer trials at a time on this device"
                )
            self.images //= 2
            free_memory()


def free_memory() -> None:
    """Release the memory of a failed step."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def first_line(error: BaseException) -> str:
    """The first line of an exception's message; its class where there is none. CUDA appends a page about its allocator."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
