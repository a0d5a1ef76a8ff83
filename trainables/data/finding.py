"""What a look at the images has found: on record with the data, shown by `caucus doctor` and in the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

MOST_RECORDED = 24
"""Images of a finding that its record names."""


@dataclass(frozen=True)
class DataFinding:
    """Something about the images that a person should look at."""

    kind: str
    """What it is, as `near-duplicates-across-splits`."""
    images: tuple[str, ...]
    """Ids of the images concerned; in a record the first of them."""
    detail: str
    """One sentence: what was found, in how many images, and an example."""
    patch: str = ""
    """The override that mends it, as `data.group=2`; `data.leave_out=FILE` where `leave_out` has what FILE should hold. "" for none."""
    leave_out: tuple[str, ...] = ()
    """Ids of the images that are better left out."""
    is_wrong: bool = False
    """Whether scores are wrong until it is mended; else it may be as it should."""

    def to_dict(self, most: int | None = None) -> dict[str, Any]:
        """For JSON, with at most so many images; without what is to be left out, which follows from the images."""
        return {
            "kind": self.kind,
            "images": list(self.images[:most]),
            "detail": self.detail,
            "patch": self.patch,
            "level": "wrong" if self.is_wrong else "look",
        }

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises `KeyError`, `TypeError` or `ValueError` where `payload` is no such record."""
        images = payload["images"]
        if not isinstance(images, list):
            raise ValueError(f"the images of a finding are {images!r}")
        return cls(
            str(payload["kind"]),
            tuple(map(str, images)),
            str(payload["detail"]),
            str(payload.get("patch", "")),
            is_wrong=payload.get("level") == "wrong",
        )


@dataclass(frozen=True)
class FoundInData:
    """All findings of a set, the weightiest first, and small pictures of some of the images that they name."""

    findings: tuple[DataFinding, ...] = ()
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
    """PNG files by image id."""


LEAVE_OUT = "data.leave_out=FILE"
"""The patch of a finding that is mended by leaving images out."""


def name_some(names: Sequence[str]) -> str:
    """The first two names, and the number of the others.

    >>> name_some(["a", "b", "c"]), name_some(["a"])
    ('a, b and 1 more', 'a')
    """
    more = f" and {len(names) - 2:,} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more
