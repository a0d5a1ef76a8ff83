"""The report's section on what is wrong with the trials, and what to try next."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ensembles.diagnosis.diagnose import Diagnosis
from ensembles.diagnosis.rules import Verdict

MOST_ROWS = 200
"""Trials in the table: the best of them."""


@dataclass(frozen=True)
class VerdictCount:
    """How many trials have a verdict, and what it means."""

    verdict: Verdict
    trials: int
    says: str
    source: str


@dataclass(frozen=True)
class DiagnosisRow:
    """One trial: its verdict, the evidence, and the overrides to try next."""

    trial_id: str
    verdict: Verdict
    evidence: str
    patch: str


@dataclass(frozen=True)
class DiagnosisSection:
    """What the section shows: the most frequent verdict first, the trials in the order in which they were given."""

    counts: tuple[VerdictCount, ...]
    rows: tuple[DiagnosisRow, ...]
    more: int
    """Trials that are not in the table."""


def lay_out(diagnoses: Sequence[Diagnosis]) -> DiagnosisSection | None:
    """The section; None if there is no trial."""
    if not diagnoses:
        return None
    counts = Counter(found.verdict for found in diagnoses)
    first = {found.verdict: found for found in reversed(diagnoses)}
    return DiagnosisSection(
        tuple(
            VerdictCount(verdict, trials, first[verdict].says, first[verdict].source)
            for verdict, trials in counts.most_common()
        ),
        tuple(
            DiagnosisRow(found.trial_id, found.verdict, describe_evidence(found), format_overrides(found))
            for found in diagnoses[:MOST_ROWS]
        ),
        max(0, len(diagnoses) - MOST_ROWS),
    )


def describe_evidence(found: Diagnosis) -> str:
    """The evidence as text: `fit accuracy 1, validation accuracy 0.86`."""
    return ", ".join(
        str(value) if name == "reason" else f"{name.replace('_', ' ')} {_show(value)}"
        for name, value in found.evidence.items()
    )


def format_overrides(found: Diagnosis) -> str:
    """The patch as arguments of the command line: `model.dropout=0.2 optimizer.weight_decay=0.0005`."""
    return " ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in found.patch.items()
    )


def _show(value: Any) -> str:
    if isinstance(value, list):
        return " / ".join(_show(one) for one in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
