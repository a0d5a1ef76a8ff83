"""Loads the images that a `DataConfig` names, each in its split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.config.data import DataConfig
from trainables.data.images import ImageSet, with_hashes
from trainables.data.mapped import find_file
from trainables.data.reading import Reading
from trainables.data.subset import leave_out_images, limit_train, select_classes, sort_images
from trainables.datasets.arrays import images_from_arrays
from trainables.datasets.folds import give_fold
from trainables.datasets.groups import find_groups
from trainables.datasets.hold_out import hold_out_sources
from trainables.datasets.published import Published
from trainables.datasets.select import find_left_out, select_images
from trainables.decoding.decode import some_of
from trainables.decoding.decode_once import Say, decode_once, memory_limit
from trainables.errors import DataError
from trainables.layouts.detect import list_images
from trainables.places.open import open_source
from trainables.plugins.call import choose_keys, naming, refuse_unknown
from trainables.plugins.kinds import DATA
from trainables.splits.split import TRAIN, UNGIVEN, split_images
from trainables.store import layout


def load_images(config: DataConfig, say: Say | None = None) -> ImageSet:
    """The images that `config` names, each in its split, in an order that follows from their pixels alone.

    `say` is told what a large set takes, before it is decoded. Pixels that do not fit into memory are mapped from a file.

    Raises `DataError` where they are missing or damaged, too few for the split, or lack a class that `config` names, and
    `PluginUnusable` where a custom source cannot be imported or does not take a key.
    """
    whole = _load_named(config, say) if config.name else load_source(config, say)
    came = whole.splits if config.keep_split else np.full(len(whole.splits), UNGIVEN, np.int8)
    if config.hold_out is not None:
        came = hold_out_sources(whole, came, config.hold_out)
    split_of = dict(zip(whole.image_ids, came.tolist(), strict=True))
    if config.classes is not None:
        whole = select_classes(whole, config.classes)
    whole = sort_images(whole)
    given = np.array([split_of[image_id] for image_id in whole.image_ids], np.int8)
    if config.folds is not None:
        given = give_fold(whole, config.folds, config.fold or 1, config.split_seed)
    is_given = bool(((given != UNGIVEN) & (given != TRAIN)).any())
    splits = split_images(
        whole.labels,
        whole.image_sha256,
        config.validation,
        config.test,
        config.split_seed,
        given=given if is_given else None,
        groups=whole.groups,
    )
    images = with_hashes(
        replace(whole, splits=splits, reading=_describe_split(whole, splits, is_given, config)), whole.image_sha256
    )
    if config.train is None:
        return images
    _check_room(images, config.train)
    return limit_train(images, config.train, config.split_seed)


def load_source(config: DataConfig, say: Say | None = None) -> ImageSet:
    """The images of `path` or `csv`, in the splits that they came in, `train` where they came in none.

    Raises as `load_images`.
    """
    key = "path" if config.path else "csv"
    where = str(getattr(config, key))
    listing = select_images(list_images(open_source(where, config.endpoint_url, f"data.{key}"), config), config)
    listed = listing.images
    found = decode_once(listed, config, say)
    decoded = found.decoded
    kept = [listed[row] for row in decoded.rows.tolist()]
    ids, cells = tuple(image.image_id for image in kept), [image.cells for image in kept]
    class_names = tuple(listing.class_names)
    place = {name: label for label, name in enumerate(class_names)}
    images = ImageSet(
        name=listing.name,
        pixels=decoded.pixels,
        labels=np.array([place[str(image.label)] for image in kept], np.int64),
        image_ids=ids,
        class_names=class_names,
        splits=np.array([layout.SPLITS.index(image.split or "train") for image in kept], np.int8),
        groups=find_groups(ids, config.group, "group", listing.columns, cells),
        sources=find_groups(ids, config.source, "source", listing.columns, cells),
        reading=Reading(
            listing.layout,
            listing.split_from,
            listing.unlabelled,
            tuple(listing.passed_over),
            (*listing.notes, *decoded.notes),
            found.origin,
        ),
        decoding=decoded.decoding,
        originals=decoded.originals,
    )
    return with_hashes(images, found.image_sha256)


def _check_room(images: ImageSet, train: int) -> None:
    """Raises `DataError` where images lie in a file, because they do not fit into memory, and those that `data.train` leaves do not
    either: they are copied."""
    if find_file(images.pixels) is None:
        return
    left = train + int((images.splits != TRAIN).sum())
    needed_bytes, (limit_bytes, _) = left * images.pixels[0].nbytes, memory_limit()
    if needed_bytes > limit_bytes:
        raise DataError(
            f"data.train is {train}: with those of validation and test {left:,} images take {needed_bytes / 2**30:,.1f} GiB, and "
            f"{limit_bytes / 2**30:,.1f} GiB of memory are free: lower data.train, data.validation and data.test, or leave data.train out, "
            "which trains from the disk"
        )


def _describe_split(images: ImageSet, splits: npt.NDArray[np.int8], is_given: bool, config: DataConfig) -> Reading:
    """The reading of `images` with what is to be said of its split."""
    reading, notes = images.reading, []
    given_by = reading.split_from if is_given else ""
    if reading.split_from and not config.keep_split:
        notes.append(f"the split given by {reading.split_from} is not kept: data.keep_split is false")
        given_by = ""
    if config.folds is not None:
        if given_by and given_by == reading.split_from:
            notes.append(f"the split given by {reading.split_from} is not kept: data.folds deals all images")
        given_by = f"fold {config.fold or 1} of {config.folds}"
    if config.hold_out is not None:
        given_by = f"{given_by} and data.hold_out" if given_by else "data.hold_out"
    held = {split: set(images.labels[splits == number].tolist()) for number, split in enumerate(layout.SPLITS)}
    for split in ("validation", "test"):
        if without := [name for label, name in enumerate(images.class_names) if label not in held[split]]:
            notes.append(
                f"{some_of(without)} {'has' if len(without) == 1 else 'have'} no image in {split}: no score there says anything of "
                f"{'it' if len(without) == 1 else 'them'}; add images"
            )
    if is_given and images.groups is not None:
        of_group: dict[str, set[int]] = {}
        for group, split in zip(images.groups, splits.tolist(), strict=True):
            of_group.setdefault(group, set()).add(split)
        if torn := sorted(group for group, held in of_group.items() if len(held) > 1):
            remedy = (
                "leave those images out" if given_by == "data.hold_out" else "data.keep_split=false deals whole groups"
            )
            notes.append(
                f"the split given by {given_by} tears {len(torn)} of {len(of_group)} groups apart (as {torn[0]!r}): {remedy}"
            )
    return replace(reading, split_from=given_by, notes=(*reading.notes, *notes))


def _load_named(config: DataConfig, say: Say | None) -> ImageSet:
    """The images of a well-known set or a plug-in, in their published splits."""
    assert config.name is not None
    function = DATA.find(config.name)
    if isinstance(function, Published):
        found = load_source(function(config), say)
        return with_hashes(replace(found, name=config.name), found.image_sha256)
    root = Path(config.root).expanduser() if config.root else None
    height_width = config.height_width
    size = height_width[0] if height_width and height_width[0] == height_width[1] else height_width
    known = {"root": root, "size": size, "channels": config.channels}
    if config.has_plugin:
        if isinstance(size, tuple):
            raise DataError(
                f"data.size is {list(size)}, but data.name is {config.name}, and a plug-in is asked for one number, height and width: "
                "give one, or a key of the plug-in's own"
            )
        images = _load_custom(config, function, known)
    else:
        images = function(**choose_keys(function, 0, known, {}))
    images = replace(
        images,
        groups=find_groups(images.image_ids, config.group, "group") or images.groups,
        sources=find_groups(images.image_ids, config.source, "source") or images.sources,
    )
    published = (images.splits != TRAIN).any()
    if published:
        images = replace(images, reading=replace(images.reading, split_from="the set"))
    if config.leave_out is not None:
        left_out = find_left_out(set(images.image_ids), config)
        passed_over = (*images.reading.passed_over, *left_out)
        images = leave_out_images(images, {one.name for one in left_out})
        images = replace(images, reading=replace(images.reading, passed_over=passed_over))
    return images


def _load_custom(config: DataConfig, function: Callable[..., Any], known: Mapping[str, Any]) -> ImageSet:
    """The images of a plug-in: an `ImageSet`, or arrays as `images_from_arrays` takes them: images, labels[, class names]."""
    asked = {key: value for key, value in known.items() if value is not None}
    refuse_unknown("data", asked | config.custom_keys, {str(config.name): (function, 0)})
    with naming(f"data.name is {config.name}", DataError):
        found = function(**choose_keys(function, 0, known, config.custom_keys))
    if isinstance(found, ImageSet):
        return found
    if not isinstance(found, tuple) or len(found) not in (2, 3):
        raise DataError(
            f"data.name is {config.name}: it returned {type(found).__name__}, but (images, labels), (images, labels, class names) or "
            "an ImageSet is needed"
        )
    try:
        return replace(images_from_arrays(*found), name=str(config.name), splits=np.zeros(len(found[0]), np.int8))
    except DataError as error:
        raise DataError(f"data.name is {config.name}: {error}") from None
