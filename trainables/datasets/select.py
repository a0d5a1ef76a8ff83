"""Selects and renames the listed images before they are decoded: what `rename`, `leave_out` and `classes` say."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from trainables.config.data import DataConfig
from trainables.data.reading import PassedOver
from trainables.data.subset import find_classes
from trainables.errors import DataError
from trainables.layouts.base.listing import ListedImage, Listing
from trainables.places.open import open_source
from trainables.places.place import read_bytes


def select_images(listing: Listing, config: DataConfig) -> Listing:
    """`listing` with the labelled images that `config` keeps, and the names of their classes.

    Raises `DataError` where a key names a label, an image or a class that does not exist, and where fewer than two classes are
    left.
    """
    images, passed_over, names = list(listing.images), list(listing.passed_over), list(listing.class_names)
    if config.leave_out is not None:
        images, left_out = _leave_out(images, config)
        passed_over += left_out
    if config.rename:
        images, names = _rename(images, names, config.rename)
    labelled = [image for image in images if image.label is not None]
    held = {str(image.label) for image in labelled}
    names = [name for name in names if name in held] if names else sorted(held)
    if config.classes is not None:
        chosen = find_classes(names, config.classes, listing.name)
        names = [names[label] for label in chosen]
        labelled = [image for image in labelled if image.label in set(names)]
    if len(names) < 2:
        found = f"one class, {names[0]!r}" if names else "no class"
        raise DataError(f"{listing.name} holds images of {found}: at least 2 classes are needed")
    return replace(
        listing,
        images=labelled,
        class_names=names,
        passed_over=passed_over,
        unlabelled=sum(image.label is None for image in images),
    )


def _rename(
    images: Sequence[ListedImage], names: Sequence[str], rename: dict[str, str | None]
) -> tuple[list[ListedImage], list[str]]:
    known = {image.label for image in images} | set(names)
    if unknown := [label for label in rename if label not in known]:
        shown = ", ".join(sorted(str(label) for label in known if label is not None)[:20])
        raise DataError(f"data.rename names the label {unknown[0]!r}, which no image has: the labels are {shown}")

    def new_label(label: str | None) -> str | None:
        return rename.get(label, label) if label is not None else None

    kept = [
        replace(image, label=new_label(image.label)) for image in images if rename.get(str(image.label), "") is not None
    ]
    renamed = [new_label(name) for name in names]
    return kept, list(dict.fromkeys(name for name in renamed if name is not None))


def _leave_out(images: Sequence[ListedImage], config: DataConfig) -> tuple[list[ListedImage], list[PassedOver]]:
    left_out = find_left_out({image.image_id for image in images}, config)
    names = {one.name for one in left_out}
    return [image for image in images if image.image_id not in names], left_out


def find_left_out(known: Set[str], config: DataConfig) -> list[PassedOver]:
    """The images of `known`, ids, that the file of `data.leave_out` names. Raises `DataError` where it names others."""
    where = str(config.leave_out)
    source = open_source(where, config.endpoint_url, "data.leave_out")
    try:
        lines = read_bytes(source.place, source.file).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data.leave_out {where} cannot be read as text in UTF-8 ({error})") from None
    # An id may have a `#` in it: then the whole line up to the tab is one.
    whole = [line.split("\t")[0].strip() for line in lines]
    ids = {name for one in whole if (name := one if one in known else one.split("#")[0].strip())}
    if unknown := sorted(ids - known):
        raise DataError(
            f"data.leave_out {where} names {len(unknown)} image(s) that the data does not have, as {unknown[0]!r}: names are ids, as "
            f"{min(known, default='')!r}"
        )
    return [PassedOver(name, f"data.leave_out {where} names it") for name in sorted(ids)]
