"""What anybody gets on test without a net: chance, the largest class, and the nearest neighbour on small pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageSet, split_rows
from trainables.metric import LOW_IS_GOOD, Metric
from trainables.scores import balanced_accuracy, brier, log_loss, macro_f1

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


@dataclass(frozen=True)
class MetricFloor:
    """What anybody gets on test without a net by another metric than accuracy."""

    score: float
    what: str
    """What reaches it, in words that follow on "by"."""


def measure_floor(images: ImageSet) -> Floor:
    """The floor of a set with images in `train` and in `test`; 0.5 s for 10,000 of 28 x 28 on two cores."""
    train, test = images.rows("train"), images.rows("test")
    truth = images.labels[test]
    largest = int(np.bincount(images.labels[train]).argmax())
    nearest = predict_nearest(images)
    return Floor(
        chance=1 / len(images.class_names),
        largest_class=float(np.mean(truth == largest)),
        class_name=images.class_names[largest],
        nearest_neighbour=float(np.mean(truth == nearest)),
    )


def predict_nearest(images: ImageSet) -> npt.NDArray[np.int64]:
    """The class of each test image's nearest neighbour among the training images, int64 (test images,)."""
    known = images.rows("train")[:MOST_TRAINING_IMAGES]
    near = find_nearest(shrink(images.pixels, known), shrink(images.pixels, images.rows("test")))
    found: npt.NDArray[np.int64] = images.labels[known[near]]
    return found


def measure_nearest(images: ImageSet) -> dict[Metric, float]:
    """The nearest neighbour on test by those metrics that a mere class has a value in.

    The log-loss is none of them: one image that the neighbour has wrong, with no probability left for the truth, is infinitely bad.
    """
    predicted, labels, classes = predict_nearest(images), images.labels[images.rows("test")], len(images.class_names)
    return {
        "balanced_accuracy": balanced_accuracy(predicted, labels, classes),
        "macro_f1": macro_f1(predicted, labels, classes),
        "auc": auc_of_classes(predicted, labels, classes),
        "brier": 2 * (1 - float(np.mean(predicted == labels))),
    }


def auc_of_classes(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], classes: int) -> float:
    """`scores.mean_auc` of predictions that give all probability to one class: for each class the mean of its recall and of the share of
    other images that are not taken for it; 0.5 where no class has a curve."""
    areas = []
    for at in range(classes):
        inside, said = labels == at, predicted == at
        if inside.any() and not inside.all():
            areas.append(float((said[inside].mean() + 1 - said[~inside].mean()) / 2))
    return float(np.mean(areas)) if areas else 0.5


def floor_in(
    metric: Metric,
    train_labels: npt.NDArray[np.int64],
    test_labels: npt.NDArray[np.int64],
    class_names: Sequence[str],
    nearest: Mapping[str, float],
) -> MetricFloor:
    """The best value of `metric` on test that needs no net: of the nearest neighbour, where `nearest` (see `measure_nearest`) has it,
    of the largest class, and of guessing; where probabilities count, guessing by the shares of the classes in training, too."""
    found = list(_list_floors(metric, train_labels, test_labels, class_names))
    if metric in nearest:
        found.append(MetricFloor(nearest[metric], f"the nearest neighbour on {SIDE_PX} x {SIDE_PX} pixels"))
    sign = 1 if metric in LOW_IS_GOOD else -1
    return min(reversed(found), key=lambda floor: sign * floor.score)


def _list_floors(
    metric: Metric,
    train_labels: npt.NDArray[np.int64],
    test_labels: npt.NDArray[np.int64],
    class_names: Sequence[str],
) -> Iterator[MetricFloor]:
    classes = len(class_names)
    counts = np.bincount(train_labels, minlength=classes)
    largest = np.full(len(test_labels), counts.argmax())
    always, guessing = f"always saying {class_names[int(counts.argmax())]!r}", "guessing"
    images = np.bincount(test_labels, minlength=classes) / len(test_labels)
    match metric:
        case "accuracy":
            yield MetricFloor(1 / classes, guessing)
            yield MetricFloor(float(np.mean(test_labels == largest)), always)
        case "balanced_accuracy":
            yield MetricFloor(1 / classes, guessing)
            yield MetricFloor(balanced_accuracy(largest, test_labels, classes), always)
        case "macro_f1":
            # Of counts as they are expected: each class is named for one in `classes` of its images, and of the others.
            yield MetricFloor(float(np.mean(2 * images / classes / (images + 1 / classes))), guessing)
            yield MetricFloor(macro_f1(largest, test_labels, classes), always)
        case "auc":
            yield MetricFloor(0.5, guessing)
        case "log_loss" | "brier":
            measure = log_loss if metric == "log_loss" else brier
            for shares, what in (
                (np.full(classes, 1 / classes), guessing),
                (counts / counts.sum(), "guessing by the shares of the classes in training"),
            ):
                yield MetricFloor(measure(np.tile(shares, (len(test_labels), 1)), test_labels), what)


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
    nearest = [distances.argmin(1) for _, distances in compare_in_blocks(known, asked)]
    return np.concatenate(nearest).astype(np.int64) if nearest else np.empty(0, np.int64)


def compare_in_blocks(
    known: npt.NDArray[np.float32], asked: npt.NDArray[np.float32]
) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
    """Blocks of `asked`, float32 (images, values), each with the squared distances to all `known`, float32 (block, known), less what is
    the same for all of these."""
    mean = known.mean(0)
    known, asked = known - mean, asked - mean  # small numbers lose less in float32
    squares = np.einsum("ij,ij->i", known, known)
    for start in range(0, len(asked), BLOCK):
        block = slice(start, start + BLOCK)
        yield block, squares - 2 * (asked[block] @ known.T)
