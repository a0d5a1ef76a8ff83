"""Image files whose names have the label in them: `cat_001.jpg`, read with `data.label_regex`."""

from __future__ import annotations

import re

from trainables.config.data import DataConfig
from trainables.data.reading import PassedOver
from trainables.errors import DataError
from trainables.layouts.base.image_files import find_images
from trainables.layouts.base.listing import Listing, list_file
from trainables.layouts.base.split_names import UNLABELLED, are_splits, find_split
from trainables.places.open import Source


def read_named_files(source: Source, config: DataConfig) -> Listing:
    """The image files of a place, at any depth, labelled by the first bracket of `config.label_regex`, which is searched in the path.

    Folders at the top that are called as splits are (`train/cat_001.jpg`) give the split. Raises `DataError` where the expression
    finds no label for most of the files; files for which it finds none are passed over.
    """
    assert config.label_regex is not None
    place = source.place
    pattern = re.compile(config.label_regex)
    found, others = find_images(place, [source.file] if source.file else place.files())
    has_splits = are_splits({file.split("/")[0] for file in found if "/" in file})
    images = []
    for file in found:
        match = pattern.search(file)
        label = (match.group(1) or "").strip() if match else ""
        split = find_split(file.split("/")[0]) if has_splits and "/" in file else ""
        if label:
            images.append(list_file(place, file, label, "" if split == UNLABELLED else split))
        else:
            others.append(PassedOver(file, "data.label_regex finds no label in its name"))
    unlabelled = len(found) - len(images)
    if unlabelled > len(images):
        example = next(other.name for other in others if other.reason.startswith("data.label_regex"))
        raise DataError(
            f"data.label_regex is {config.label_regex!r}, which finds no label in {unlabelled:,} of {len(found):,} file names, as "
            f"{example!r}: change it so that its first bracket is the label"
        )
    return Listing(
        name=place.name.rstrip("/").rpartition("/")[2] or "images",
        layout="files with the label in their names",
        images=images,
        split_from="folders" if has_splits else "",
        passed_over=others,
    )
