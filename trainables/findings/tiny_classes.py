"""Finds classes with so few images that nothing can be said of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trainables.data.finding import DataFinding, name_some
from trainables.data.images import ImageSet

FEWEST = 10
"""Images that a class should have."""


def find_tiny_classes(images: ImageSet) -> Iterator[DataFinding]:
    """At most one finding, on all classes with fewer than `FEWEST` images."""
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    tiny = [label for label in np.argsort(counts, kind="stable").tolist() if counts[label] < FEWEST]
    if not tiny:
        return
    named = name_some([f"{images.class_names[label]} ({counts[label]})" for label in tiny])
    ids = images.ids_of(np.flatnonzero(np.isin(images.labels, tiny)))
    if len(tiny) == 1:
        detail = f"1 class has fewer than {FEWEST} images, {named}: no score of it says anything; add images, or leave it out"
        patch = f"data.rename={{{_quote(images.class_names[tiny[0]])}: null}}"
    else:
        detail = f"{len(tiny):,} classes have fewer than {FEWEST} images, {named}: no score of them says anything; add images, or select "
        detail += "classes with data.classes"
        patch = ""
    yield DataFinding("tiny-class", ids, detail, patch if images.decoding and len(images.class_names) > 2 else "")


def _quote(name: str) -> str:
    """A name as YAML takes it in any place."""
    return "'" + name.replace("'", "''") + "'"
