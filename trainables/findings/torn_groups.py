"""Finds names that tell which pictures show one thing, where the split tears such pictures apart: `patient12_3.png`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.data.finding import DataFinding
from trainables.data.images import ImageSet
from trainables.findings.looks import Looks
from trainables.store import layout

FEWEST_GROUPS = 5
COVERED = 0.5
"""Share of the images whose group has another one of their class and folder: of fewer, the names tell something else."""

LARGEST = 1 / 3
"""Share of the images that the largest group has at most."""

SMALL = 15
"""Images a group up to which a name with a number in it is believed; of larger groups the pixels have to tell the same."""

NEARER = 0.9
"""How far apart images of a group are at most, in shares of how far images of one class are: what pixels have to tell."""

TORN = 0.1
"""Share of the groups that lie in several splits, from which on it is said."""

SAMPLE = 1000
MOST_PARTS = 4

_BETWEEN = re.compile("[ _.-]+")
_LAST = (r"([^/]*?[0-9])[a-zA-Z]?(?:\.[^./]*)?$", r"([^/]*?[0-9][a-zA-Z]+)[0-9]+(?:\.[^./]*)?$")
"""Names without their last letter behind a number, and without their last number behind a letter."""


@dataclass(frozen=True)
class _Rule:
    """A value of `data.group`, and the name of each image's group by it."""

    value: str
    names: Sequence[str]
    folders: Sequence[str]
    """Where names are compared: the folder of each image where they are names of files."""
    is_sure: bool = True
    """Whether the form of the names is enough; else the pixels have to tell the same."""


def find_torn_groups(images: ImageSet, looks: Looks) -> Iterator[DataFinding]:
    """At most one finding, with the coarsest rule whose groups look like groups and are torn apart."""
    if images.groups is not None:
        return
    for rule in _list_rules(images.image_ids):
        place: dict[str, int] = {}
        numbers = np.array([place.setdefault(name, len(place)) for name in rule.names], np.int64)
        sizes = np.bincount(numbers)
        if not _looks_like_groups(images, looks, rule, numbers, sizes):
            continue
        several = np.flatnonzero(sizes > 1)
        lowest, highest = np.full(len(sizes), len(layout.SPLITS)), np.full(len(sizes), -1)
        np.minimum.at(lowest, numbers, images.splits)
        np.maximum.at(highest, numbers, images.splits)
        torn = np.flatnonzero(lowest < highest).tolist()
        if len(torn) < max(2, TORN * len(several)) or not _names_all(rule, images.image_ids):
            continue
        rows = np.flatnonzero(np.isin(numbers, torn))
        rows = rows[np.argsort(numbers[rows], kind="stable")]
        shown = images.ids_of(rows[numbers[rows] == torn[0]])
        yield DataFinding(
            "torn-groups",
            images.ids_of(rows),
            f"{len(several):,} names are those of several images each, as {list(place)[torn[0]]} ({', '.join(shown[:3])}), and "
            f"{len(torn):,} of them lie in more than one split: if such images show one thing, scores are too good",
            f"data.group={rule.value}",
        )
        return


def _names_all(rule: _Rule, ids: Sequence[str]) -> bool:
    """Whether `data.group` would find a name for each image, as it has to."""
    return rule.value.isdecimal() or all(map(re.compile(rule.value).search, ids))


def _list_rules(ids: Sequence[str]) -> Iterator[_Rule]:
    """Folders from the top, then more and more parts of the file names; then single parts, as in `left_patient12.png`; then names without
    their last letter or number."""
    paths = [image_id.split("/") for image_id in ids]
    for level in range(1, min(map(len, paths), default=0)):
        yield _Rule(str(level), ["/".join(path[:level]) for path in paths], [""] * len(paths))
    names, folders = [path[-1] for path in paths], ["/".join(path[:-1]) for path in paths]
    parts = [list(filter(None, _BETWEEN.split(name))) for name in names]
    for count in range(1, min(max(map(len, parts), default=0), MOST_PARTS + 1)) if all(parts) else ():
        pattern = rf"([^/ _.-]+(?:[ _.-]+[^/ _.-]+){{0,{count - 1}}})[^/]*$"
        yield _Rule(pattern, ["_".join(some[:count]) for some in parts], folders)
    for place in range(1, min(min(map(len, parts), default=0), MOST_PARTS)):
        pattern = rf"(?:^|/)(?:[^/ _.-]+[ _.-]+){{{place}}}([^/ _.-]+)[^/]*$"
        yield _Rule(pattern, [some[place] for some in parts], folders, is_sure=False)
    for pattern in _LAST:
        search = re.compile(pattern).search
        if all(map(search, names[:SAMPLE])) and all(matches := [search(name) for name in names]):
            yield _Rule(pattern, [match.group(1) for match in matches if match], folders)


def _looks_like_groups(
    images: ImageSet,
    looks: Looks,
    rule: _Rule,
    numbers: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
) -> bool:
    several = sizes > 1
    count, classes = int(several.sum()), len(images.class_names)
    if count < FEWEST_GROUPS or len(sizes) <= classes or sizes.max() > LARGEST * len(numbers):
        return False
    # Where each class or folder counts from 1 anew, a name has one image in each: that is no group.
    inside = Counter(zip(numbers.tolist(), images.labels.tolist(), rule.folders, strict=True)).values()
    if sum(count for count in inside if count > 1) < COVERED * len(numbers):
        return False
    has_number = np.mean([any(map(str.isdigit, name)) for name in set(rule.names)])
    if rule.is_sure and sizes[several].mean() <= SMALL and has_number >= COVERED:
        return True
    return _are_nearer(images, looks, numbers)


def _are_nearer(images: ImageSet, looks: Looks, numbers: npt.NDArray[np.int64]) -> bool:
    """Whether images of a group are nearer to each other than images of one class in different groups."""
    rng = np.random.default_rng(0)
    flat = looks.small.reshape(len(looks.small), -1)
    order = np.lexsort((rng.random(len(numbers)), numbers))
    one, other = order[:-1], order[1:]
    inside = (numbers[one] == numbers[other]) & (images.labels[one] == images.labels[other])
    order = np.lexsort((rng.random(len(numbers)), images.labels))
    left, right = order[:-1], order[1:]
    outside = (numbers[left] != numbers[right]) & (images.labels[left] == images.labels[right])
    if not inside.any() or not outside.any():
        return False
    chosen = rng.permutation(np.flatnonzero(inside))[:SAMPLE], rng.permutation(np.flatnonzero(outside))[:SAMPLE]
    within = _distance(flat[one[chosen[0]]], flat[other[chosen[0]]])
    between = _distance(flat[left[chosen[1]]], flat[right[chosen[1]]])
    return within < NEARER * between


def _distance(one: npt.NDArray[np.float16], other: npt.NDArray[np.float16]) -> float:
    """The mean distance of pairs of rows."""
    return float(np.linalg.norm(one.astype(np.float32) - other.astype(np.float32), axis=1).mean())
