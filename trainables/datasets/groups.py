"""The group or source of each image: a column of its table, a folder of its name, or what a regular expression finds in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trainables.errors import DataError
from trainables.layouts.base.listing import ListedImage


def find_groups(
    images: Sequence[ListedImage], rule: str | int | None, key: str, columns: Sequence[str] = ()
) -> tuple[str, ...] | None:
    """A name for each of `images` by `rule`, the value of `data.group` or `data.source` (`key`); None where there is no rule.

    A number is the level of a folder, counted from 1 at the top of the image's id; a text with a bracket is a regular expression
    whose first bracket is the name; any other text is one of `columns`. Raises `DataError` where an image has no such name.
    """
    if rule is None:
        return None
    if isinstance(rule, int):
        names = [_find_folder(image.image_id, rule) for image in images]
    elif "(" in rule:
        pattern = re.compile(rule)
        names = [_search(pattern, image.image_id) for image in images]
    else:
        if rule not in columns:
            known = f"the columns are {', '.join(map(repr, columns))}" if columns else "the data has no table"
            raise DataError(
                f"data.{key} is {rule!r}, but {known}: name a column, the level of a folder (1, 2, …), or a regular expression "
                "with a bracket"
            )
        names = [image.cells.get(rule, "").strip() for image in images]
    if missing := [image.image_id for image, name in zip(images, names, strict=True) if not name]:
        raise DataError(
            f"data.{key} is {rule!r}, which gives no name for {len(missing):,} of {len(images):,} images, as {missing[0]!r}: "
            "change it so that each image has one"
        )
    return tuple(names)


def _find_folder(image_id: str, level: int) -> str:
    folders = image_id.split("/")[:-1]
    return "/".join(folders[:level]) if level <= len(folders) else ""


def _search(pattern: re.Pattern[str], image_id: str) -> str:
    found = pattern.search(image_id)
    return (found.group(1) or "") if found else ""
