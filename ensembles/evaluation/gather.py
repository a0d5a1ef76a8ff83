"""Gathers the evidence on one team, after every choice is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ensembles.calibration.calibrate import calibrate
from ensembles.calibration.reliability import reliability, risk_coverage
from ensembles.evaluation.by_source import score_sources
from ensembles.evaluation.evidence import ClassChange, Evidence, ImageCase
from ensembles.evaluation.suspected_labels import SuspectedLabel, suspect_labels
from ensembles.evaluation.verdict import Prepared
from ensembles.metrics.scores import cost_of, measure
from ensembles.pool.pool import PredictionPool
from ensembles.team import Team
from ensembles.voting.vote import Ballot
from trainables.results.checkpoint import CheckpointId

MOST_SUSPECTED = 0.2
"""Share of the images above which the team is wrong too often to contradict their labels: then none is suspected."""


def gather_evidence(
    prepared: Prepared,
    validation_pool: PredictionPool,
    test_pool: PredictionPool,
    image_ids: Sequence[str],
    sources: Sequence[str] | None = None,
    validation_ids: Sequence[str] = (),
) -> Evidence:
    """All evidence on the team, with the vote and the calibration that were prepared, beside the best single checkpoint.

    `image_ids` are those of the test images, `validation_ids` of the validation images, in their order; `sources` is the source of each
    test image, where it is known. Raises `MismatchedPredictions` where a pool lacks a member.
    """
    labels, names = test_pool.labels, test_pool.class_names
    team, ready = prepared.team, prepared.votes[prepared.config.vote]
    ballot = ready.vote(test_pool)
    calibrated = calibrate(ballot, ready.calibrator)
    predicted = np.stack([test_pool.probabilities[test_pool.position(each)].argmax(1) for each in team.members])
    wrong = predicted != labels
    voted, alone = ballot.predicted, prepared.best.vote(test_pool).predicted
    confidence = calibrated.probabilities[np.arange(len(labels)), voted]

    def cases(selected: npt.NDArray[np.bool_]) -> tuple[ImageCase, ...]:
        rows = np.flatnonzero(selected)
        return tuple(
            ImageCase(
                image_id=image_ids[row],
                label=names[labels[row]],
                team=names[voted[row]],
                confidence=float(confidence[row]),
                best=names[alone[row]],
                members_right=int((~wrong[:, row]).sum()),
            )
            for row in rows[np.argsort(-confidence[rows], kind="stable")].tolist()
        )

    return Evidence(
        left_out_cost=_cost_without_each(validation_pool, team),
        solo=np.array([_solo(validation_pool, team, member) for member in team.members]),
        disagreement=np.array([(predicted != each).mean(1) for each in predicted]),
        error_correlation=_correlate(wrong),
        confusion_change=_confusion(labels, voted, len(names)) - _confusion(labels, alone, len(names)),
        classes=tuple(_changes(labels, voted == labels, alone == labels, names)),
        any_correct=float(np.mean(~wrong.all(0))),
        reliability_before=reliability(ballot.probabilities, labels, predicted=voted),
        reliability_after=reliability(calibrated.probabilities, labels, predicted=calibrated.predicted),
        risk_coverage=risk_coverage(calibrated.probabilities, labels, predicted=calibrated.predicted),
        fixed=cases((voted == labels) & (alone != labels)),
        broken=cases((voted != labels) & (alone == labels)),
        missed=cases(wrong.all(0)),
        sources=score_sources(sources, voted == labels, alone == labels, test_pool.groups) if sources else (),
        suspects=_suspect(
            [
                ("validation", calibrate(ready.validation, ready.calibrator), validation_pool.labels, validation_ids),
                ("test", calibrated, labels, image_ids),
            ],
            names,
        ),
    )


def _suspect(
    parts: Sequence[tuple[str, Ballot, npt.NDArray[np.int64], Sequence[str]]], names: Sequence[str]
) -> tuple[SuspectedLabel, ...]:
    """Suspected labels of all splits together, each with its vote, its labels and its images; a split without ids is left out."""
    named = [part for part in parts if len(part[3]) == len(part[2])]
    if not named:
        return ()
    probabilities = np.concatenate([np.asarray(ballot.probabilities, np.float64) for _, ballot, _, _ in named])
    labels = np.concatenate([labels for _, _, labels, _ in named])
    images = [(split, image_id) for split, _, _, ids in named for image_id in ids]
    rows, others = suspect_labels(probabilities, labels)
    if len(rows) > MOST_SUSPECTED * len(labels):
        return ()
    return tuple(
        SuspectedLabel(
            image_id=images[row][1],
            split=images[row][0],
            label=names[labels[row]],
            suggested=names[other],
            probability=float(probabilities[row, other]),
            probability_of_label=float(probabilities[row, labels[row]]),
        )
        for row, other in zip(rows.tolist(), others.tolist(), strict=True)
    )


def _solo(pool: PredictionPool, team: Team, member: CheckpointId) -> float:
    return measure(team.metric, pool.probabilities[pool.position(member)], pool.labels)


def _cost_without_each(pool: PredictionPool, team: Team) -> npt.NDArray[np.float64]:
    """float64 (members,): cost of leaving each member out of the weighted team. The others keep the proportions of their
    weights; 0 if there are no others."""
    tables = [pool.probabilities[pool.position(member)] for member in team.members]
    if len(tables) == 1:
        return np.zeros(1)
    whole = np.zeros(tables[0].shape)
    for weight, probabilities in zip(team.weights, tables, strict=True):
        whole += weight * probabilities.astype(np.float64)
    cost = cost_of(team.metric, measure(team.metric, whole, pool.labels))
    found = []
    for weight, probabilities in zip(team.weights, tables, strict=True):
        rest = (whole - weight * probabilities.astype(np.float64)) / (1 - weight)
        found.append(cost_of(team.metric, measure(team.metric, np.maximum(rest, 0), pool.labels)) - cost)
    return np.array(found)


def _correlate(wrong: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Pearson's correlation, float64 (members, members); 1 where one of both does not vary."""
    centred = wrong - wrong.mean(1, keepdims=True)
    spread = np.sqrt((centred**2).sum(1))
    both = np.outer(spread, spread)
    product = centred @ centred.T
    found: npt.NDArray[np.float64] = np.divide(product, both, out=np.ones_like(product), where=both > 0)
    np.fill_diagonal(found, 1.0)
    return np.clip(found, -1, 1)


def _confusion(labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """Counts of images, int64 (true, predicted)."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _changes(
    labels: npt.NDArray[np.int64],
    team_right: npt.NDArray[np.bool_],
    best_right: npt.NDArray[np.bool_],
    names: Sequence[str],
) -> Iterator[ClassChange]:
    for position, name in enumerate(names):
        of_class = labels == position
        yield ClassChange(
            name=name,
            images=int(np.count_nonzero(of_class)),
            best_right=int(np.count_nonzero(best_right & of_class)),
            team_right=int(np.count_nonzero(team_right & of_class)),
            fixed=int(np.count_nonzero(team_right & ~best_right & of_class)),
            broken=int(np.count_nonzero(best_right & ~team_right & of_class)),
        )
