"""Lists some folders of a bucket that has many others: each request starts at the first wanted name that is not listed yet.

A listing returns a thousand names a request, in order, from any name on. Where the wanted folders lie close together a page
contains many of them; where a million other objects lie between, the scan skips them. So it takes no more requests than a
listing of everything, and hardly more than one a folder, without knowing in advance which is less.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from trainables.errors import CaucusError
from trainables.store.base import LISTERS, StoredObject

PAGES_A_LISTER = 10
"""Remaining pages for each concurrent lister: at the end of each lister's part, up to a page is read twice."""


class Unordered(CaucusError, ValueError):
    """The server does not list from a name on, or not in order."""


@dataclass(frozen=True)
class Page:
    """The result of one request: objects in the order of their keys, and whether there are none after them."""

    objects: Sequence[StoredObject]
    is_last: bool


def scan(prefixes: Sequence[str], page: Callable[[str], Page]) -> list[StoredObject]:
    """Every object under one of `prefixes`, none of which lies in another; `page` returns the objects after a key.

    Raises `Unordered` where pages are not in order.
    """
    wanted = sorted(set(prefixes))
    found, left, after = _scan(wanted, page, "", pages=1)
    if not left:
        return found
    pages = len(left) / max(1, len(wanted) - len(left))
    listers = int(min(LISTERS, max(1, pages // PAGES_A_LISTER)))
    parts = [left[len(left) * part // listers : len(left) * (part + 1) // listers] for part in range(listers)]
    with ThreadPoolExecutor(listers, thread_name_prefix="scan") as pool:
        for more, _, _ in pool.map(lambda part: _scan(part, page, after if part is parts[0] else ""), parts):
            found += more
    return found


def _scan(
    wanted: Sequence[str], page: Callable[[str], Page], after: str, pages: float = math.inf
) -> tuple[list[StoredObject], Sequence[str], str]:
    """Objects after `after` under the first folders of `wanted`, from at most `pages` pages; the folders that are not read
    to their end; and the key up to which the first of these is read."""
    found: list[StoredObject] = []
    left = wanted
    while left and pages > 0:
        pages -= 1
        after = max(after, left[0])
        listing = page(after)
        keys = [each.key for each in listing.objects]
        if any(one >= other for one, other in itertools.pairwise([after, *keys])):
            raise Unordered("a listing is not in the order of its names")
        if not keys and not listing.is_last:
            raise Unordered("a listing has a page of nothing that is not its last")
        for each in listing.objects:
            place = bisect.bisect_right(left, each.key) - 1
            if place >= 0 and each.key.startswith(left[place]):
                found.append(each)
        if listing.is_last:
            return found, (), ""
        after = keys[-1]
        # Folders before the last key are read to their end, but for the one that it lies in.
        until = bisect.bisect_right(left, after)
        left = left[until - 1 if until and after.startswith(left[until - 1]) else until :]
    return found, left, after


def common_folder(prefixes: Sequence[str]) -> str:
    """The folder that all of `prefixes` lie in, "" where there is none.

    >>> common_folder(["trials/0f3a/", "trials/0f3b/"]), common_folder(["trials/a/"]), common_folder(["a/", "b/"])
    ('trials/', 'trials/a/', '')
    """
    names = zip(*(prefix.split("/")[:-1] for prefix in prefixes), strict=False)
    return "".join(f"{each[0]}/" for each in itertools.takewhile(lambda each: len(set(each)) == 1, names))
