"""The report's section on a night: its verdict beside the last accepted night, causes, members, and flipped images."""

from __future__ import annotations

from dataclasses import dataclass

from ensembles.nights.compare import NightComparison
from ensembles.nights.summary import MembersChange, NightSummary

HEADINGS = {
    "trials": "Trials",
    "labels": "Labels",
    "configuration": "Configuration",
    "images": "Images",
    "custom code": "Your own models",
    "code": "Code",
    "versions": "Versions",
}


@dataclass(frozen=True)
class NightSection:
    """What the section shows."""

    verdict: str
    sentence: str
    against: str | None
    comparison: NightComparison | None
    remarks: tuple[str, ...]
    """Remarks on the comparison."""
    causes: tuple[tuple[str, str], ...]
    """What changed, the likeliest cause first: its kind, and from what to what."""
    unchanged: str
    members: MembersChange | None


def lay_out(summary: NightSummary) -> NightSection:
    """The section."""
    return NightSection(
        verdict=summary.verdict,
        sentence=f"{summary.sentence[:1].upper()}{summary.sentence[1:]}.",
        against=summary.against,
        comparison=summary.comparison,
        remarks=(*_remark(summary.comparison), *summary.notes, *([summary.warm_start] if summary.warm_start else [])),
        causes=tuple((HEADINGS[cause.kind], cause.description) for cause in summary.causes),
        unchanged=", ".join(summary.unchanged),
        members=summary.members,
    )


def _remark(comparison: NightComparison | None) -> list[str]:
    if comparison is None:
        return []
    sentences = []
    if not comparison.is_whole:
        sentences.append(
            f"of {comparison.images_now:,} test images {comparison.images:,} were test images of the earlier night too: "
            "the comparison is on these alone"
        )
    if comparison.matched_by == "image_id":
        sentences.append("the pixels of all images have changed since then: images are matched by their names")
    if comparison.relabelled:
        sentences.append(
            f"{comparison.relabelled:,} of the images that both have had another label then: both nights are scored by "
            "today's labels"
        )
    return sentences
