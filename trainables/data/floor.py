"""What anybody gets on test without a net: chance, the largest class, and the nearest neighbour on small pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageSet, split_rows

SIDE_PX = 12
"""Height and width to which images are averaged before they are compared."""

MOST_TRAINING_IMAGES = 20_000
"""Neighbours are looked for among the first so many: in the order of their hashes that is a random sample."""

BLOCK = 512
"""Images that are compared at a time, so that the table of distances stays small."""

BLOCK_BYTES = 2**22
"""Pixels, as float32, that are averaged at a time."""


@dataclass(frozen=True)
class Floor:
    """Accuracies on the test images, shares of 1, that a net has to beat to be worth anything."""

    chance: float
    """Guessing each class equally often."""
    largest_class: float
    """Always naming the class that most training images have."""
    class_name: str
    """That class."""
    nearest_neighbour: float
    """Naming the class of the training image whose `SIDE_PX` x `SIDE_PX` pixels differ least (Fix and Hodges 1951, one neighbour)."""

    @property
    def best(self) -> float:
        """The highest of the three."""
        return max(self.chance, self.largest_class, self.nearest_neighbour)

    def describe(self) -> str:
        """What reaches `best`, in words that follow on "by"."""
        if self.nearest_neighbour == self.best:
            return f"the nearest neighbour on {SIDE_PX} x {SIDE_PX} pixels"
        return f"always saying {self.class_name!r}" if self.largest_class == self.best else "guessing"


def measure_floor(images: ImageSet) -> Floor:
    """The floor of a set with images in `train` and in `test`; 0.5 s for 10,000 of 28 x 28 on two cores."""
    train, test = images.rows("train"), images.rows("test")
    truth = images.labels[test]
    largest = int(np.bincount(images.labels[train]).argmax())
    known = train[:MOST_TRAINING_IMAGES]
    nearest = images.labels[known[find_nearest(shrink(images.pixels, known), shrink(images.pixels, test))]]
    return Floor(
        chance=1 / len(images.class_names),
        largest_class=float(np.mean(truth == largest)),
        class_name=images.class_names[largest],
        nearest_neighbour=float(np.mean(truth == nearest)),
    )


def shrink(pixels: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Means over a mesh of at most `SIDE_PX` x `SIDE_PX` fields, float32 (rows, values), of images uint8 (images, height, width, channels)."""
    height, width, channels = pixels.shape[1:]
    down, across = (np.linspace(0, side, min(side, SIDE_PX) + 1).astype(np.int64) for side in (height, width))
    area = np.outer(np.diff(down), np.diff(across))[..., None]
    found = np.empty((len(rows), area.size * channels), np.float32)
    start = 0
    for some in split_rows(rows, 4 * height * width * channels, BLOCK_BYTES):
        block = pixels[some].astype(np.float32)
        sums = np.add.reduceat(np.add.reduceat(block, down[:-1], axis=1), across[:-1], axis=2)
        found[start : start + len(some)] = (sums / area).reshape(len(block), -1)
        start += len(some)
    return found


def find_nearest(known: npt.NDArray[np.float32], asked: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """For each of `asked`, float32 (images, values), the row of `known` with the least squared distance; of equals the first."""
    mean = known.mean(0)
    known, asked = known - mean, asked - mean  # small numbers lose less in float32
    squares = np.einsum("ij,ij->i", known, known)
    nearest = [
        (squares - 2 * (asked[start : start + BLOCK] @ known.T)).argmin(1) for start in range(0, len(asked), BLOCK)
    ]
    return np.concatenate(nearest).astype(np.int64) if nearest else np.empty(0, np.int64)
