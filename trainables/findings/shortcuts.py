"""Finds what tells the class without a look at the picture: brightness, colour, sharpness, the source, the size of the file's picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from trainables.data.finding import DataFinding
from trainables.data.images import ImageSet
from trainables.data.unseen import find_others
from trainables.findings.looks import Looks

FOLDS = 5
MOST_BINS = 16
"""Intervals of a measure, each with about as many images."""

LEAST_IMAGES_A_BIN = 10

TELLING = 0.5
"""Share of the images outside the largest class that a measure has to add, beyond it, to be told."""

PURE = 0.98
"""Share of the images with a mark that one class has, from which on the mark tells the class."""

LEAST_MARKED = 10
RARE = 1e-4
"""Chance that so many images with a mark are of one class, were marks dealt at random."""

LEAST_CONTRAST = 8.0
"""Grey levels of standard deviation: of flatter images the colour does not show."""

NEIGHBOURS = 1500
"""Images among which a nearest neighbour is looked for: 0.1 s."""

SOURCE = "the source"

GREY = 3.0
"""Mean difference of the channels up to which an image counts as one without colour."""


def find_shortcuts(images: ImageSet, looks: Looks) -> Iterator[DataFinding]:
    """A finding for the measure that tells the class best by itself, where one does; and one for each mark that one class alone has.

    What is known of the files beside their pixels has to tell more than the pixels do to a nearest neighbour: simple shapes make
    simple files.
    """
    numbers = np.unique(images.labels, return_inverse=True)[1].astype(np.int64)
    largest = float(np.bincount(numbers).max() / len(numbers)) if len(numbers) else 1.0
    least = largest + TELLING * (1 - largest)
    scores = {name: score_alone(values, numbers) for name, values in _measure_pixels(images, looks).items()}
    of_files = {name: score_alone(values, numbers) for name, values in _measure_files(images).items()}
    if max(of_files.values(), default=0.0) >= max(least, *scores.values()):
        floor = score_neighbours(looks.small, numbers)
        scores |= {name: score for name, score in of_files.items() if score > floor}
    best = max(scores, key=lambda name: scores[name])
    tells = scores[best] >= least
    if tells:
        yield DataFinding(
            "shortcut",
            (),
            f"{best} alone tells the class of {scores[best]:.0%} of the images, always saying the largest class of {largest:.0%}: a net "
            "may learn that and nothing else; look whether new images will have it too",
        )
    for words, marked in _mark(images, looks, with_sources=not (tells and best == SOURCE)).items():
        yield from _tell_mark(images, words, marked)


def score_neighbours(small: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """Accuracy of naming the class of the nearest other image, on the first images: in the order of their hashes that is a random sample."""
    some = small[:NEIGHBOURS].reshape(min(len(small), NEIGHBOURS), -1).astype(np.float32)
    return float(np.mean(labels[find_others(some)["dealt"]] == labels[: len(some)]))


def score_alone(values: npt.NDArray[np.generic], labels: npt.NDArray[np.int64]) -> float:
    """Accuracy of naming the most frequent class of the interval that a value falls into, cross-validated: the classifier 1R
    (Holte 1993), with intervals of equal frequency. `labels` are numbers from 0; values that are no numbers are intervals by themselves."""
    if len(values) < FOLDS * LEAST_IMAGES_A_BIN:
        return 0.0
    fold = np.arange(len(values)) % FOLDS  # images lie in the order of their hashes: that is a random one
    right = 0
    for number in range(FOLDS):
        train = fold != number
        intervals = _find_intervals(values, train)
        counts = np.zeros((int(intervals.max()) + 1, int(labels.max()) + 1), np.int64)
        np.add.at(counts, (intervals[train], labels[train]), 1)
        counts += np.bincount(labels[train], minlength=counts.shape[1]) * (counts.sum(1, keepdims=True) == 0)
        right += int((counts.argmax(1)[intervals[~train]] == labels[~train]).sum())
    return right / len(values)


def _find_intervals(values: npt.NDArray[np.generic], train: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The interval of each value, whose bounds follow from the values in `train`."""
    found: npt.NDArray[np.int64]
    if values.dtype.kind not in "fiu":
        found = np.unique(values, return_inverse=True)[1].astype(np.int64)
        return found
    bins = min(MOST_BINS, max(2, int(train.sum()) // LEAST_IMAGES_A_BIN))
    bounds = np.unique(np.quantile(values[train].astype(np.float64), np.arange(1, bins) / bins))
    found = np.searchsorted(bounds, values, side="right").astype(np.int64)
    return found


def _measure_pixels(images: ImageSet, looks: Looks) -> Mapping[str, npt.NDArray[np.generic]]:
    measures: dict[str, npt.NDArray[np.generic]] = {"the brightness": looks.brightness}
    if images.pixels.shape[3] == 3:
        red, green, blue = looks.colours.T
        measures["the colour's strength"] = looks.saturation
        measures["the mean colour"] = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)  # the hue
    return measures


def _measure_files(images: ImageSet) -> Mapping[str, npt.NDArray[np.generic]]:
    measures: dict[str, npt.NDArray[np.generic]] = {}
    if images.originals is not None:
        height, width, file_bytes = images.originals.T
        measures["the size of the picture"] = height * width
        measures["the picture's proportions"] = height / np.maximum(width, 1)
        if (file_bytes > 0).all():
            measures["the size of the file"] = file_bytes
    if images.sources is not None:
        measures[SOURCE] = np.array(images.sources, object).astype(str)
    return measures


def _mark(images: ImageSet, looks: Looks, with_sources: bool) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Images with each mark, by words that follow on "images"."""
    marks: dict[str, npt.NDArray[np.bool_]] = {}
    if images.pixels.shape[3] == 3:
        marks["without colour"] = (looks.saturation <= GREY) & (looks.contrast >= LEAST_CONTRAST)
    if with_sources and images.sources is not None and len(names := set(images.sources)) <= MOST_BINS:
        sources = np.array(images.sources, object).astype(str)
        marks |= {f"from the source {name}": sources == name for name in sorted(names)}
    return marks


def _tell_mark(images: ImageSet, words: str, marked: npt.NDArray[np.bool_]) -> Iterator[DataFinding]:
    count = int(marked.sum())
    if count < LEAST_MARKED or count == len(marked):
        return
    held = np.bincount(images.labels[marked], minlength=len(images.class_names))
    label = int(held.argmax())
    of_class = images.labels == label
    share = float(of_class.mean())
    if held[label] < PURE * count or share**count >= RARE:
        return
    name = images.class_names[label]
    if marked[of_class].all():
        others = "hardly any" if held[label] < count else "no"
        said = f"all images of the class {name} are {words}, and {others} other image is"
    else:
        said = f"{held[label]:,} of {count:,} images {words} are of the class {name}, which has {share:.0%} of all"
    yield DataFinding(
        "shortcut",
        images.ids_of(np.flatnonzero(marked)),
        f"{said}: a net may learn that in place of what the class shows",
    )
