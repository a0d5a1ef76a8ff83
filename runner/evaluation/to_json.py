"""The conclusion of a run as JSON: the part of `caucus run --json` that follows from the store alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ensembles.evaluation.score import Score
from ensembles.evaluation.verdict import Verdict
from ensembles.pseudo_labels.summary import PseudoLabelSummary
from ensembles.selection_bias.estimate import Estimate
from runner.evaluation.conclusion import Conclusion


def conclusion_to_json(conclusion: Conclusion) -> dict[str, Any]:
    """The part of the result that follows from the store alone."""
    verdict, pseudo = conclusion.verdict, conclusion.pseudo
    voted = verdict.votes[verdict.vote]
    return {
        "best": {
            "trial_id": conclusion.best.trial_id,
            "epoch": conclusion.best.epoch,
            "validation_accuracy": verdict.best.validation_accuracy,
            "test_accuracy": verdict.best.test_accuracy,
            **_asked(verdict, verdict.best),
        },
        "ensemble": {
            "members": len(conclusion.team.members),
            "vote": verdict.vote,
            "test_accuracy": voted.test_accuracy,
            "test_nll": voted.test_nll,
            "test_ece": voted.test_ece,
            "ci95": list(voted.ci95),
            "validation_accuracy": voted.validation_accuracy,
            "corrected": _estimate_to_json(voted.corrected),
            "test_ece_calibrated": voted.test_ece_calibrated,
            **_asked(verdict, voted),
        },
        "votes": {how: score.test_accuracy for how, score in verdict.votes.items()},
        "verdict": verdict.sentence,
        **({"sources": [asdict(source) for source in conclusion.sources]} if conclusion.sources else {}),
        **({"never_predicted": [asdict(one) for one in verdict.never_predicted]} if verdict.never_predicted else {}),
        **({"pseudo_labels": _pseudo_to_json(pseudo)} if pseudo else {}),
    }


def _asked(verdict: Verdict, score: Score) -> dict[str, Any]:
    """The metric that the sweep asks for, and a vote's scores by it; nothing where that is accuracy."""
    if verdict.in_metric is None:
        return {}
    scores = {"validation_score": score.validation_score, "test_score": score.test_score}
    return {"metric": verdict.in_metric.metric, **scores}


def _estimate_to_json(found: Estimate | None) -> dict[str, Any] | None:
    return {"value": found.value, "ci95": list(found.ci95)} if found else None


def _pseudo_to_json(pseudo: PseudoLabelSummary) -> dict[str, Any]:
    """Pseudo-labels as JSON: `labelled` is null without a labelling; each `gain` has before, after and difference on both splits."""
    found = pseudo.labelling
    return {
        "reason": pseudo.reason,
        "table": pseudo.table or None,
        "asked": found.asked.labelled if found else None,
        "labelled": found.kept.labelled if found else None,
        "label_accuracy": found.kept.accuracy if found else None,
        "gain": {gain.label: asdict(gain) for gain in pseudo.gains},
    }
