"""How a source of images was understood, and what was passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath


@dataclass(frozen=True)
class PassedOver:
    """A file or folder that is not read as an image."""

    name: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """How a source was understood: nothing of it enters the data's id."""

    layout: str = ""
    """What the source was taken for, as "class folders"; "" for images that a program made."""
    split_from: str = ""
    """What gave the split, as "folders"; "" where all images were dealt."""
    unlabelled: int = 0
    """Images without a label, which are left out."""
    passed_over: tuple[PassedOver, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences for the person: what could be meant otherwise, with the key that settles it."""
    origin: str = field(default="", compare=False)
    """Where the pixels came from this time, as "12,345 images from the cache in ~/.cache/caucus"; "" where it took no time."""


def count_passed_over(others: Sequence[PassedOver]) -> str:
    """How many files were passed over, by ending: "12 files passed over (.heic 10, .txt 2)"; "" for none."""
    if not others:
        return ""
    counts = Counter(
        PurePosixPath(other.name).suffix.lower() or PurePosixPath(other.name).name[:20] for other in others
    )
    shown = ", ".join(f"{ending} {count}" if len(counts) > 1 else ending for ending, count in counts.most_common(5))
    more = ", …" if len(counts) > 5 else ""
    return f"{len(others)} file{'s' * (len(others) > 1)} passed over ({shown}{more})"
