"""Looks at all images of a set, and says what a person should look at before anything is trained on them."""

from __future__ import annotations

from trainables.data.finding import DataFinding, FoundInData
from trainables.data.images import ImageSet
from trainables.findings.blurred import find_blurred
from trainables.findings.equal import find_equal
from trainables.findings.looks import look_at
from trainables.findings.near import find_near
from trainables.findings.odd_sizes import find_odd_sizes
from trainables.findings.plain import find_plain
from trainables.findings.shortcuts import find_shortcuts
from trainables.findings.thumbnails import draw_thumbnails
from trainables.findings.tiny_classes import find_tiny_classes
from trainables.findings.torn_groups import find_torn_groups


def find_all(images: ImageSet) -> tuple[DataFinding, ...]:
    """All findings, those that make scores wrong first; the same images give the same findings."""
    if not len(images.pixels):
        return ()
    looks = look_at(images)
    found = [
        *find_equal(images),
        *find_near(images, looks),
        *find_torn_groups(images, looks),
        *find_shortcuts(images, looks),
        *find_plain(images, looks),
        *find_blurred(images, looks),
        *find_odd_sizes(images),
        *find_tiny_classes(images),
    ]
    return tuple(sorted(found, key=lambda one: not one.is_wrong))


def look_through(images: ImageSet) -> FoundInData:
    """All findings with their thumbnails, for the data's record."""
    findings = find_all(images)
    return FoundInData(findings, draw_thumbnails(images, findings))
