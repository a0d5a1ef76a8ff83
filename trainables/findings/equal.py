"""Finds images that are equal in all pixels: under several labels, in several splits, or several times in one."""

from __future__ import annotations

from collections.abc import Iterator

from trainables.data.finding import LEAVE_OUT, DataFinding
from trainables.data.images import ImageSet


def find_equal(images: ImageSet) -> Iterator[DataFinding]:
    """At most one finding of each kind; an image counts for the first kind that it is of."""
    rows_of: dict[str, list[int]] = {}
    for row, digest in enumerate(images.image_sha256):
        rows_of.setdefault(digest, []).append(row)
    several = [rows for rows in rows_of.values() if len(rows) > 1]
    differing = [rows for rows in several if len({int(images.labels[row]) for row in rows}) > 1]
    alike = [rows for rows in several if len({int(images.labels[row]) for row in rows}) == 1]
    torn = [rows for rows in alike if len({int(images.splits[row]) for row in rows}) > 1]
    whole = [rows for rows in alike if len({int(images.splits[row]) for row in rows}) == 1]
    if differing:
        first, *_ = differing
        one, other = first[0], next(row for row in first if images.labels[row] != images.labels[first[0]])
        yield DataFinding(
            "duplicates-under-several-labels",
            _name(images, differing),
            f"{_count(differing)} under several labels, as {images.image_ids[one]} ({images.class_names[images.labels[one]]}) and "
            f"{images.image_ids[other]} ({images.class_names[images.labels[other]]}): no net can have both right",
            LEAVE_OUT,
            _name(images, differing),
            is_wrong=True,
        )
    if torn:
        first, *_ = torn
        kept = [_keep_last_split(images, rows) for rows in torn]
        yield DataFinding(
            "duplicates-across-splits",
            _name(images, torn),
            f"{_count(torn)} in several splits of those that came with the data, as {images.image_ids[first[0]]} and "
            f"{images.image_ids[first[-1]]}: scores on them are of images that were trained on",
            LEAVE_OUT,
            _name(images, kept),
            is_wrong=True,
        )
    if whole:
        first, *_ = whole
        yield DataFinding(
            "duplicates",
            _name(images, whole),
            f"{_count(whole)} of one class and split, as {images.image_ids[first[0]]} and {images.image_ids[first[1]]}: "
            "each copy counts as an image",
            LEAVE_OUT,
            _name(images, [rows[1:] for rows in whole]),
        )


def _count(groups: list[list[int]]) -> str:
    pictures = "1 picture is" if len(groups) == 1 else f"{len(groups):,} pictures are"
    return f"{pictures} there more than once ({sum(map(len, groups)):,} images)"


def _name(images: ImageSet, groups: list[list[int]]) -> tuple[str, ...]:
    return tuple(images.image_ids[row] for rows in groups for row in rows)


def _keep_last_split(images: ImageSet, rows: list[int]) -> list[int]:
    """The rows to leave out, so that the copy that is evaluated on stays: of test before validation before train."""
    kept = max(rows, key=lambda row: (int(images.splits[row]), -row))
    return [row for row in rows if row != kept]
