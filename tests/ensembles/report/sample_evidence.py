"""What corrected numbers might say of a sample run: shapes and sums hang together, nothing is computed from predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ensembles.calibration.reliability import Bin
from ensembles.evaluation.evidence import ClassChange, Evidence, ImageCase
from ensembles.evaluation.score import PredictionCost, Score
from ensembles.evaluation.suspected_labels import SuspectedLabel
from ensembles.report.page import ReportInput
from ensembles.selection_bias.corrected import Corrected, CorrectedScore
from ensembles.selection_bias.estimate import Estimate
from trainables.results.record import TrialCost


def make_evidence(run: ReportInput, seed: int = 0) -> Evidence:
    """Of the run's team, on 2,000 test images."""
    rng = np.random.default_rng(seed)
    members, names = len(run.team.members), run.table.class_names
    apart = np.triu(rng.uniform(0.02, 0.09, (members, members)), 1)
    alike = np.triu(rng.uniform(0.3, 0.8, (members, members)), 1)
    images = np.bincount(run.table.labels_of("test"), minlength=len(names)).tolist()
    fixed, broken = rng.integers(0, 7, len(names)).tolist(), rng.integers(0, 5, len(names)).tolist()
    confusion = np.zeros((len(names), len(names)), np.int64)
    for number, (good, bad) in enumerate(zip(fixed, broken, strict=True)):
        confusion[number, number] = good - bad
        confusion[number, (number + 1) % len(names)] -= good - bad
    bins = tuple(
        Bin(low / 15, (low + 1) / 15, 10 * low**2, (low + 0.6) / 15, max(0.0, (low - 0.4) / 15)) for low in range(15)
    )
    cases = tuple(
        ImageCase(
            f"{number:05d}",
            names[number % len(names)],
            names[(number + 1) % len(names)],
            0.99 - 0.01 * number,
            names[0],
            0,
        )
        for number in range(60)
    )
    return Evidence(
        left_out_cost=rng.normal(0.001, 0.001, members),
        solo=rng.uniform(0.2, 0.3, members),
        disagreement=apart + apart.T,
        error_correlation=alike + alike.T + np.eye(members),
        confusion_change=confusion,
        classes=tuple(
            ClassChange(name, many, many - 20, many - 20 + good - bad, good, bad)
            for name, many, good, bad in zip(names, images, fixed, broken, strict=True)
        ),
        any_correct=0.9825,
        reliability_before=bins,
        reliability_after=tuple(replace(one, accuracy=one.confidence) if one.images else one for one in bins),
        risk_coverage=tuple((share / 100, 0.09 * (share / 100) ** 2) for share in range(1, 101)),
        fixed=cases[:31],
        broken=cases[31:40],
        missed=cases,
        suspects=tuple(SuspectedLabel(one.image_id, "test", one.label, one.team, 0.9, 0.01) for one in cases[:55]),
    )


def make_corrected(run: ReportInput) -> Corrected:
    """Of the run's verdict: one point below what was selected."""
    verdict, team = run.verdict, run.team

    def score(selected: float) -> CorrectedScore:
        return CorrectedScore(
            Estimate(selected - 0.01, (selected - 0.03, selected + 0.01)), Estimate(0.27, (0.22, 0.32))
        )

    return Corrected(
        how="bootstrap",
        metric=team.metric,
        selected=team.validation_score,
        score=Estimate(0.27, (0.22, 0.32)),
        vote=verdict.vote,
        votes={method: score(found.validation_accuracy) for method, found in verdict.votes.items()},
        baselines={
            "best": score(verdict.best.validation_accuracy),
            **{name: score(found.validation_accuracy) for name, found in verdict.baselines.items()},
        },
        gain=Estimate(0.01, (0.0, 0.02)),
        band=tuple((value + 0.005, value + 0.015, value + 0.03) for value in team.path),
        images=1000,
        repetitions=40,
        candidates=23,
        chosen_again=tuple(0.9 - 0.02 * number for number in range(len(team.members))),
    )


def with_evidence(run: ReportInput) -> ReportInput:
    """The run with both, and with what its scores would then hold."""
    corrected = make_corrected(run)

    def enrich(score: Score, found: CorrectedScore) -> Score:
        cost = PredictionCost(10_000 * score.members, 1_000_000 * score.members, 1e-4 * score.members)
        return replace(score, corrected=found.accuracy, corrected_nll=found.log_loss, cost=cost)

    verdict = replace(
        run.verdict,
        best=enrich(run.verdict.best, corrected.baselines["best"]),
        votes={method: enrich(score, corrected.votes[method]) for method, score in run.verdict.votes.items()},
        baselines={name: enrich(score, corrected.baselines[name]) for name, score in run.verdict.baselines.items()},
    )
    records = [
        replace(record, cost=TrialCost(1_000 * place, 100_000 * place, 1e-4, 64, 1e-3, 2**20, False))
        for place, record in enumerate(run.records, start=1)
    ]
    return replace(run, verdict=verdict, records=records, evidence=make_evidence(run), corrected=corrected)
