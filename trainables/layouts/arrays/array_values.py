"""Pixels and labels of arrays, in the forms in which people save them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.errors import DataError

_BLOCK = 512
"""Images that are converted at a time: floats of eight bytes for all would take eight times the memory."""


def to_images(where: str, pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], str]:
    """`pixels` as uint8 (images, height, width[, 1, 3 or 4]), and what to say of their form; "" for nothing.

    They are whole numbers from 0 to 255, floats from 0 to 1, or bool. Raises `DataError`.
    """
    shape, note = pixels.shape, ""
    if pixels.ndim == 4 and shape[3] not in (1, 3, 4) and shape[1] in (1, 3):
        pixels = np.moveaxis(pixels, 1, -1)
        note = f"{where} has the shape {shape}: it is taken for (images, channels, height, width)"
    if pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] not in (1, 3, 4)) or 0 in pixels.shape[1:]:
        flat = "; reshape rows of pixels to height and width" if pixels.ndim == 2 else ""
        raise DataError(
            f"{where} has the shape {shape}: images are (images, height, width), with 1, 3 or 4 channels last or 1 or 3 first{flat}"
        )
    if pixels.dtype.kind not in "buif":
        raise DataError(f"{where} holds {pixels.dtype}: pixels are whole numbers from 0 to 255, or floats from 0 to 1")
    if pixels.dtype == np.uint8 or not len(pixels):
        return np.ascontiguousarray(pixels, np.uint8), note
    return _scale(where, pixels), note


def _scale(where: str, pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    blocks = [pixels[start : start + _BLOCK] for start in range(0, len(pixels), _BLOCK)]
    low, high = min(float(block.min()) for block in blocks), max(float(block.max()) for block in blocks)
    factor = 1
    if pixels.dtype.kind == "b":
        factor = 255
    elif pixels.dtype.kind == "f":
        is_whole = 0 <= low <= high <= 255 and high > 1 and all((block == np.rint(block)).all() for block in blocks)
        factor = 1 if is_whole else 255
    # Written so that it is false for NaN, too, which `min` returns where there is one.
    if not 0 <= low * factor <= high * factor <= 255:
        raise DataError(
            f"{where} holds {pixels.dtype} from {low:g} to {high:g}: pixels are whole numbers from 0 to 255, or floats from 0 to 1"
        )
    found = np.empty(pixels.shape, np.uint8)
    for start, block in zip(range(0, len(pixels), _BLOCK), blocks, strict=True):
        found[start : start + _BLOCK] = np.rint(block.astype(np.float32) * factor) if factor > 1 else block
    return found


def read_labels(where: str, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64] | list[str]:
    """A number or a text an image, of labels (images,), (images, 1), or one-hot (images, classes). Raises `DataError`."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind in "US":
        if labels.ndim != 1:
            raise DataError(f"{where} has the shape {labels.shape}: labels are one text an image")
        return read_texts(where, labels)
    if labels.dtype.kind not in "buif":
        raise DataError(f"{where} holds {labels.dtype}: labels are whole numbers or texts")
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not ((labels == 0) | (labels == 1)).all():
            raise DataError(
                f"{where} has the shape {labels.shape} and holds more than zeros and ones: labels are one number or text an image, or "
                "one-hot"
            )
        held = labels.sum(axis=1, dtype=np.int64)
        if (held != 1).any():
            row = int(np.flatnonzero(held != 1)[0])
            raise DataError(
                f"{where} has several labels a picture or none (row {row} has {held[row]}): each image needs one class"
            )
        return np.asarray(labels.argmax(axis=1), np.int64)
    if labels.ndim != 1:
        raise DataError(
            f"{where} has the shape {labels.shape}: labels are (images,), (images, 1), or one-hot (images, classes)"
        )
    if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
        raise DataError(f"{where} holds labels that are no whole numbers: give the number of each image's class")
    if len(labels) and not -(2**53) <= float(labels.min()) <= float(labels.max()) <= 2**53:
        raise DataError(f"{where} holds the label {labels.max()}: give the number of each image's class")
    return labels.astype(np.int64)


def read_texts(where: str, texts: npt.NDArray[Any]) -> list[str]:
    """The texts of an array (texts,), without spaces at their ends. Raises `DataError` for what is no text."""
    if texts.ndim != 1 or texts.dtype.kind not in "US":
        raise DataError(f"{where} is {texts.dtype}{texts.shape}: it must be texts, one after the other")
    try:
        found = [(text.decode() if isinstance(text, bytes) else text).strip() for text in texts.tolist()]
        "".join(found).encode()
    except ValueError as error:  # of UTF-8, and of numbers that no character has
        raise DataError(f"{where} holds what is no text ({error}): save it again") from None
    return found
