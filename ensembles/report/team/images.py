"""The report's section on single images: fixed, broken, missed by all (also as a table of their own), and suspected labels."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from ensembles.evaluation.evidence import Evidence, ImageCase
from ensembles.evaluation.suspected_labels import SuspectedLabel
from trainables.store import layout

MOST_CASES = 50
"""Images of each kind on the page: the most confident ones."""


@dataclass(frozen=True)
class CaseList:
    """Images of one kind."""

    name: str
    title: str
    hint: str
    cases: tuple[ImageCase, ...]
    images: int
    """Number of images of the kind, shown or not."""


@dataclass(frozen=True)
class ImagesSection:
    """What the section shows."""

    lists: tuple[CaseList, ...]
    members: int
    table: str
    """Name of the file that lists all images which every member misses."""
    suspects: tuple[SuspectedLabel, ...]
    """Validation and test images whose label may be wrong, the likeliest first."""
    suspect_count: int


def lay_out(evidence: Evidence | None, members: int) -> ImagesSection | None:
    """The section; None without evidence."""
    if evidence is None:
        return None
    kinds = (
        (
            "missed",
            "Missed by all",
            "No member has them right. Where the vote is sure as well, look at the label before the net.",
            evidence.missed,
        ),
        ("broken", "Broken", "Right by the best single checkpoint, wrong by the vote.", evidence.broken),
        ("fixed", "Fixed", "Wrong by the best single checkpoint, right by the vote.", evidence.fixed),
    )
    return ImagesSection(
        tuple(CaseList(name, title, hint, cases[:MOST_CASES], len(cases)) for name, title, hint, cases in kinds),
        members,
        layout.MISSED,
        evidence.suspects[:MOST_CASES],
        len(evidence.suspects),
    )


def missed_csv(evidence: Evidence) -> bytes:
    """All test images that no member has right, most confident first: suspected label errors, as a CSV file in UTF-8."""
    sink = io.StringIO()
    table = csv.writer(sink, lineterminator="\n")
    table.writerow(("image", "label", "vote", "confidence", "best_single"))
    for case in evidence.missed:
        table.writerow((case.image_id, case.label, case.team, f"{case.confidence:.6f}", case.best))
    return sink.getvalue().encode()
