"""Classes that a way to predict never names, although there are images of them: an accuracy alone hides them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_NAMES = 10
"""Classes that a sentence names; of more, those with the most test images."""


@dataclass(frozen=True)
class NeverPredicted:
    """One class with images on validation or test, for none of which, nor for any other image there, it was predicted."""

    name: str
    validation_images: int
    test_images: int


def find_never_predicted(
    names: Sequence[str],
    validation: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    test: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
) -> tuple[NeverPredicted, ...]:
    """The classes of `names` that occur on validation or test, but are predicted on neither; those with the most test images first,
    of equals those with the most validation images, then in the order of the classes.

    `validation` and `test` are true labels and predicted classes, each int64 (images,).

    >>> fox = np.array([0, 1, 1]), np.array([0, 0, 0])
    >>> find_never_predicted(["cat", "fox", "owl"], fox, fox)
    (NeverPredicted(name='fox', validation_images=2, test_images=2),)
    """
    count = len(names)
    on_validation, on_test = (np.bincount(labels, minlength=count) for labels, _ in (validation, test))
    named = np.bincount(validation[1], minlength=count) + np.bincount(test[1], minlength=count)
    missed = np.flatnonzero((named == 0) & (on_validation + on_test > 0)).tolist()
    missed.sort(key=lambda at: (-on_test[at], -on_validation[at]))
    return tuple(NeverPredicted(names[at], int(on_validation[at]), int(on_test[at])) for at in missed)


def describe_never_predicted(found: Sequence[NeverPredicted], by: str = "") -> str:
    """`never predicted: fox (12 test images), owl (1 validation image)`; "" if there is none. `by` says by whom.

    Class names are as they came but for line breaks, which become blanks: whoever prints the line escapes it.
    """
    if not found:
        return ""
    shown = ", ".join(f"{' '.join(one.name.split())} ({_count_images(one)})" for one in found[:MOST_NAMES])
    more = f" and {len(found) - MOST_NAMES:,} more" if len(found) > MOST_NAMES else ""
    return f"never predicted{f' by {by}' if by else ''}: {shown}{more}"


def read_never_predicted(payload: Iterable[Any] | None) -> tuple[NeverPredicted, ...]:
    """The inverse of `dataclasses.asdict` for each; nothing where an older version did not look. Raises `TypeError`."""
    return tuple(NeverPredicted(**one) for one in payload or ())


def _count_images(one: NeverPredicted) -> str:
    count, split = (one.test_images, "test") if one.test_images else (one.validation_images, "validation")
    return f"{count:,} {split} image{'' if count == 1 else 's'}"
