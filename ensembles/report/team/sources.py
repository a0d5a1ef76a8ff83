"""The report's section on sources: what the team gets on the images of each camera, clinic or whatever `data.source` names."""

from __future__ import annotations

from dataclasses import dataclass

from ensembles.evaluation.by_source import SourceScore, describe_sources
from ensembles.evaluation.evidence import Evidence

MOST_ROWS = 200
"""Of more sources, those with the lowest accuracy."""


@dataclass(frozen=True)
class SourcesSection:
    """What the section shows."""

    sentence: str
    rows: tuple[SourceScore, ...]
    more: int


def lay_out(evidence: Evidence | None) -> SourcesSection | None:
    """The section; None where images have no sources, or all the same."""
    if evidence is None or not evidence.sources:
        return None
    rows = evidence.sources
    if len(rows) > MOST_ROWS:
        rows = tuple(sorted(rows, key=lambda row: row.team)[:MOST_ROWS])
    return SourcesSection(describe_sources(evidence.sources), rows, len(evidence.sources) - len(rows))
