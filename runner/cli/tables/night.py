"""The result of a night as one JSON object, and as lines for a terminal."""

from __future__ import annotations

from typing import Any

from ensembles.nights.summary import NightSummary
from runner.cli.tables.result import result_to_json
from runner.cli.tables.retention import show_bytes
from runner.nights.hook import HookResult
from runner.nights.night import Night, exit_code_of
from runner.retention.retention import Retention

MOST_SHOWN = 10
"""Members and images that a terminal names; the JSON and the report have more."""


def night_to_json(night: Night) -> dict[str, Any]:
    """The JSON object that `runner/nightly.py --json` prints and the hook gets: the result of the run, and `night`."""
    payload = result_to_json(night.result)
    payload["night"] = {**night.summary.to_dict(), "exit_code": exit_code_of(night.summary)}
    payload["keep"] = _retention_to_json(night.retention, night.retention_failure)
    return payload


def hook_to_json(result: HookResult) -> dict[str, Any]:
    """The result of the hook for the printed JSON."""
    return {"kind": result.kind, "worked": not result.failure, "reason": result.failure or None}


def show_night(night: Night) -> list[str]:
    """The lines on the verdict, printed below the table of the run."""
    summary = night.summary
    lines = [f"night {summary.run}: {summary.sentence}"]
    lines += [f"  {note}" for note in summary.notes]
    if summary.members and (summary.members.joined or summary.members.left):
        lines.append(_describe_members(summary))
    if found := summary.comparison:
        if found.lost:
            lines.append(
                f"  wrong now, right then: {found.lost:,} images ({_describe_ids(found.lost_ids, found.lost)})"
            )
        if found.gained:
            lines.append(
                f"  right now, wrong then: {found.gained:,} images ({_describe_ids(found.gained_ids, found.gained)})"
            )
    if summary.unchanged:
        lines.append(f"  as it was: {', '.join(summary.unchanged)}")
    if night.retention and night.retention.objects:
        size = show_bytes(night.retention.size_bytes)
        lines.append(f"keep: {night.retention.checkpoints:,} checkpoints deleted, {size}")
    if night.retention_failure:
        lines.append(f"keep: nothing more was deleted: {night.retention_failure}")
    return lines


def _retention_to_json(found: Retention | None, failure: str) -> dict[str, Any] | None:
    if failure:
        return {"deleted": False, "checkpoints": 0, "bytes": 0, "reason": failure}
    if found is None:
        return None
    return {
        "deleted": found.deleted,
        "checkpoints": found.checkpoints,
        "objects": found.objects,
        "bytes": found.size_bytes,
        "reason": None,
    }


def _describe_members(summary: NightSummary) -> str:
    assert summary.members is not None
    parts = []
    for what, members in (("joined", summary.members.joined), ("left", summary.members.left)):
        names = [f"{member.trial_id}@{member.epoch}" for member in members]
        parts.append(f"{len(names)} {what}{f' ({_describe_ids(names, len(names))})' if names else ''}")
    return f"  members: {', '.join(parts)}, {len(summary.members.stayed)} stayed"


def _describe_ids(names: tuple[str, ...] | list[str], count: int) -> str:
    shown = ", ".join(names[:MOST_SHOWN])
    return f"{shown}, …" if count > MOST_SHOWN else shown
