"""One verdict a trial, with its evidence and what to try next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ensembles.diagnosis.learning_curve import DataCurve, find_data_curves
from ensembles.diagnosis.rules import FEWEST_EPOCHS, HEALTHY, LITTLE_DATA, RULES, Rule, Verdict
from ensembles.diagnosis.signs import Setting, Signs, read_signs
from trainables.results.record import TrialRecord


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a trial, or that nothing is."""

    trial_id: str
    verdict: Verdict
    evidence: Mapping[str, Any]
    """Names of signs with their values, or other evidence."""
    patch: Mapping[str, Any]
    """Keys and values for the next run, in the form of overrides; empty if nothing is to be changed."""
    says: str
    source: str

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        named = {"trial_id": self.trial_id, "verdict": self.verdict, "evidence": dict(self.evidence)}
        return {**named, "patch": dict(self.patch), "says": self.says, "source": self.source}


def diagnose_all(records: Sequence[TrialRecord], setting: Setting, custom: Sequence[Rule] = ()) -> list[Diagnosis]:
    """One diagnosis a trial, in their order. `setting.best_accuracy` is taken from the trials themselves; `custom` rules come before the
    built-in ones."""
    best = max((at.validation_accuracy for one in records for at in one.epochs), default=0.0)
    setting = replace(setting, best_accuracy=best)
    curves = {name: curve for curve in find_data_curves(records, setting) for name in curve.largest}
    rules = (*custom, *RULES)
    return [_diagnose(record, setting, curves.get(record.trial_id), rules) for record in records]


def diagnose(record: TrialRecord, setting: Setting) -> Diagnosis:
    """The diagnosis of one trial by itself."""
    return _diagnose(record, setting, None)


def _diagnose(
    record: TrialRecord, setting: Setting, curve: DataCurve | None, rules: Sequence[Rule] = RULES
) -> Diagnosis:
    if record.state == "diverged":
        rate = next(rule for rule in RULES if rule.verdict == "rate-too-high")
        return _describe(record, rate, {"reason": record.reason})
    share = record.config.train_share
    signs = read_signs(record, replace(setting, train_images=max(1, int(share * setting.train_images))))
    if signs is None or signs.epochs < FEWEST_EPOCHS:
        few = f"{len(record.epochs)} epochs, of which {FEWEST_EPOCHS} are needed"
        reason = f"{record.state}: {record.reason}; {few}" if record.state == "failed" else few
        return Diagnosis(record.trial_id, "unknown", {"reason": reason}, {}, "Too few epochs to tell.", "")
    rule = next((rule for rule in rules if rule.holds(signs, record.config, setting)), HEALTHY)
    if rule.verdict in ("healthy", "overfits") and curve is not None and curve.wants_more:
        return _describe(record, LITTLE_DATA, curve.to_dict())
    return _describe(record, rule, _evidence(rule, signs))


def _evidence(rule: Rule, signs: Signs) -> dict[str, Any]:
    values = signs.to_dict()
    return {name: values[name] for name in rule.shows if values[name] is not None}


def _describe(record: TrialRecord, rule: Rule, evidence: Mapping[str, Any]) -> Diagnosis:
    return Diagnosis(record.trial_id, rule.verdict, evidence, rule.patch_for(record), rule.says, rule.source)
