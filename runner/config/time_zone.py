"""A time zone by its name, as `zoneinfo` knows them."""

from __future__ import annotations

import contextlib
import difflib
import re
import zoneinfo
from datetime import UTC, tzinfo

from trainables.errors import SweepFileError

NO_ZONES = ("localtime", "posixrules")
"""Files beside the zones that are another zone on each machine."""

OFFSET = re.compile(r"(utc|gmt|etc/)?\W*\d.*", re.IGNORECASE)
"""An offset is no zone, and the names that look like one mean the other side: Etc/GMT+2 is two hours behind UTC."""


def find_zone(name: str, where: str) -> tzinfo:
    """The zone of this name; UTC needs no database. Raises `SweepFileError`, which begins with `where`.

    >>> str(find_zone("Europe/Berlin", "nightly.zone"))
    'Europe/Berlin'
    """
    if name == "UTC":
        return UTC
    if name not in NO_ZONES:
        # A missing file is a KeyError, a folder or a path out of the database another one.
        with contextlib.suppress(KeyError, ValueError, OSError):
            return zoneinfo.ZoneInfo(name)
    known = zoneinfo.available_timezones() - {*NO_ZONES}  # reads 600 files: for the hint alone
    if not known:
        raise SweepFileError(
            f"{where} is {name!r}, but no time zone is known here: install tzdata (apt-get install tzdata, or pip install "
            "tzdata), or take UTC"
        )
    # Not only similar spellings: `berlin` and `CET` in lower case are what people type.
    lower = {zone.lower(): zone for zone in sorted(known)}
    ends = [zone for word, zone in lower.items() if word.rpartition("/")[2] == name.lower().replace(" ", "_")]
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.75)
    found = lower.get(name.lower()) or (ends[0] if ends else lower[close[0]] if close else "")
    hint = (
        f"did you mean {found}?"
        if found and not OFFSET.fullmatch(name)
        else "take one such as Europe/Berlin, America/New_York or UTC"
    )
    raise SweepFileError(f"{where} is {name!r}, which is no time zone of the IANA database: {hint}")
