"""Refuses a split that leaves a class without images to train on."""

from __future__ import annotations

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.base.listing import Listing

_NAMED = 3


def refuse_untrained(listing: Listing, config: DataConfig) -> None:
    """Raise `DataError` where a class that `config` keeps came in validation and test alone: no net could learn it."""
    if not config.keep_split or not listing.split_from:
        return
    if any(isinstance(name, int) for name in config.classes or ()):
        return  # positions among class names that are not known yet
    rename = config.rename or {}
    chosen = {str(name).casefold() for name in config.classes or ()}
    held: dict[str, set[str]] = {}
    for image in listing.images:
        label = rename.get(image.label, image.label) if image.label is not None else None
        if label is not None and (not chosen or label.casefold() in chosen):
            held.setdefault(label, set()).add(image.split or "train")
    alone = sorted(label for label, splits in held.items() if "train" not in splits)
    if alone:
        more = f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else ""
        raise DataError(
            f"{len(alone)} class(es) of {listing.name} have no image to train on, only in validation or test: "
            f"{', '.join(alone[:_NAMED])}{more}: add some, name the other classes with data.classes=, or deal all images anew with "
            "data.keep_split=false"
        )
