"""The group or source of each image: a column of its table, a folder of its name, or what a regular expression finds in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from trainables.errors import DataError


def find_groups(
    image_ids: Sequence[str],
    rule: str | int | None,
    key: str,
    columns: Sequence[str] = (),
    cells: Sequence[Mapping[str, str]] = (),
) -> tuple[str, ...] | None:
    """A name for each of `image_ids` by `rule`, the value of `data.group` or `data.source` (`key`); None where there is no rule.

    A number is the level of a folder, counted from 1 at the top of the image's id; a text with a bracket is a regular expression
    whose first bracket is the name; any other text is one of `columns`, whose values are in the `cells`
    of each image. Raises `DataError` where an image has no such name.
    """
    if rule is None:
        return None
    if isinstance(rule, int):
        names = [_find_folder(image_id, rule) for image_id in image_ids]
    elif "(" in rule:
        pattern = re.compile(rule)
        names = [_search(pattern, image_id) for image_id in image_ids]
    else:
        if rule not in columns:
            known = f"the columns are {', '.join(map(repr, columns))}" if columns else "the data has no table"
            raise DataError(
                f"data.{key} is {rule!r}, but {known}: name a column, the level of a folder (1, 2, …), or a regular expression "
                "with a bracket"
            )
        names = [row.get(rule, "").strip() for row in cells]
    if missing := [image_id for image_id, name in zip(image_ids, names, strict=True) if not name]:
        raise DataError(
            f"data.{key} is {rule!r}, which gives no name for {len(missing):,} of {len(image_ids):,} images, as {missing[0]!r}: "
            "change it so that each image has one"
        )
    return tuple(names)


def _find_folder(image_id: str, level: int) -> str:
    folders = image_id.split("/")[:-1]
    return "/".join(folders[:level]) if level <= len(folders) else ""


def _search(pattern: re.Pattern[str], image_id: str) -> str:
    found = pattern.search(image_id)
    return (found.group(1) or "") if found else ""
