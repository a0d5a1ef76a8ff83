"""From the candidates of a stored run to a team that is selected on validation and evaluated on test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.config import Calibration, EnsembleConfig, VoteMethod
from ensembles.evaluation.fitted_vote import prepare_vote
from ensembles.evaluation.verdict import Prepared, Verdict, evaluate_prepared, prepare
from ensembles.pool.in_memory import Candidates, WholePool
from ensembles.pool.pool import PredictionPool
from ensembles.pool.stored import StoredPool, needs_true_class_alone
from ensembles.pool.streaming import StreamedMean, stream_mean
from ensembles.pool.true_class import true_or_other
from ensembles.selection.select import select
from ensembles.selection_bias.corrected import Corrected, correct
from ensembles.selection_bias.repeat import rank_all
from ensembles.team import Team
from ensembles.voting.vote import VOTES, is_fitted
from trainables.data.data_table import read_nearest_scores
from trainables.data.floor import MetricFloor, floor_in
from trainables.errors import MismatchedPredictions
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialCost, TrialRecord


@dataclass(frozen=True, eq=False)
class SelectedTeam:
    """A team and everything that was decided with it, on validation alone.

    validation    full predictions of all checkpoints in the verdict: the team, the best single, the best `ensemble.size`
    mean          mean of all candidates on validation
    """

    pool: StoredPool
    config: EnsembleConfig
    team: Team
    ranked: tuple[CheckpointId, ...]
    """All candidates, the best first by the metric that decides."""
    corrected: Corrected | None
    validation: PredictionPool
    mean: StreamedMean
    costs: Mapping[str, TrialCost]

    @property
    def best(self) -> CheckpointId:
        """The best single checkpoint."""
        return self.ranked[0]


@dataclass(frozen=True, eq=False)
class TestEvaluation:
    """A verdict with the predictions behind it."""

    prepared: Prepared
    verdict: Verdict
    test: PredictionPool
    """Predictions of the team, the best single and the best `ensemble.size`."""
    untested: tuple[tuple[CheckpointId, str], ...]
    """Candidates without predictions on test, each with the reason."""


def choose(
    pool: StoredPool,
    config: EnsembleConfig,
    costs: Mapping[str, TrialCost],
    votes: Sequence[VoteMethod] | None = None,
) -> SelectedTeam:
    """The team that `config` asks for, with its bias correction for `config.vote` and `votes` (by default those that need
    no fitting). A candidate whose predictions turn out to be damaged is left out, and the selection repeated."""
    methods = [method for method in VOTES if not is_fitted(method)] if votes is None else votes
    while True:
        whole = None if needs_true_class_alone(config) else pool.read(pool.members, "validation")
        sources: Candidates = WholePool(whole) if whole else pool
        seen = whole or true_or_other(pool.true_class)
        team = select(seen, config, costs)
        ranked = tuple(rank_all(sources.true_class, config.deciding_metric, whole))
        needed = {*team.members, *team.picks, *ranked[: config.size]}
        try:
            validation = sources.read(needed, "validation")
            lost = (whole or validation).left_out
            if not lost:
                corrected = correct(sources, team, config, methods, costs)
                mean = sources.mean("validation")
                lost = mean.left_out
        except (
            MismatchedPredictions
        ):  # a member that was selected by some of the images, or all of the few that were needed
            lost = pool.damaged("validation")
            if not lost:
                raise
        if not lost:
            return SelectedTeam(pool, config, team, ranked, corrected, validation, mean, costs)
        pool = pool.without(lost)


def evaluate_on_test(selected: SelectedTeam) -> TestEvaluation:
    """The verdict on a selected team. Everything is fitted before test is opened, which happens here.

    A candidate without predictions on test is left out; a member without them raises `MismatchedPredictions`.
    """
    pool, config, team = selected.pool, selected.config, selected.team
    metric_floor = _read_metric_floor(pool, config)
    prepared = prepare(
        team,
        config,
        selected.validation,
        selected.ranked,
        selected.mean.probabilities,
        selected.corrected,
        selected.costs,
        pool.table.floor,
        metric_floor,
    )
    test, mean = pool.read(selected.validation.members, "test"), pool.mean("test")
    untested = dict(mean.left_out)
    if untested:
        ranked = [member for member in selected.ranked if member not in untested]
        needed = {*team.members, *team.picks, *ranked[: config.size]}
        validation, test = pool.read(needed, "validation"), pool.read(needed, "test")
        same = stream_mean(pool.store, mean.members, "validation", pool.table)
        prepared = prepare(
            team,
            config,
            validation,
            ranked,
            same.probabilities,
            selected.corrected,
            selected.costs,
            pool.table.floor,
            metric_floor,
        )
    verdict = evaluate_prepared(prepared, test, mean.probabilities)
    return TestEvaluation(prepared, verdict, test, mean.left_out)


def _read_metric_floor(pool: StoredPool, config: EnsembleConfig) -> MetricFloor | None:
    """What needs no net, by the metric that the sweep asks for; None where that is accuracy, of which the table knows the floor."""
    metric, table = config.deciding_metric, pool.table
    if metric == "accuracy":
        return None
    nearest = read_nearest_scores(pool.store, table.data_id)
    return floor_in(metric, table.labels_of("train"), table.labels_of("test"), table.class_names, nearest)


def predict_test(
    pool: StoredPool, team: Team, method: VoteMethod, calibration: Calibration, keys: Mapping[str, Any] | None = None
) -> npt.NDArray[np.int64]:
    """The class that a vote predicts for each test image, int64 (images,), fitted on validation; `keys` are those of plug-ins.

    Raises `MismatchedPredictions` where a member has no predictions, and `StoreError`.
    """
    ready = prepare_vote(team, method, calibration, pool.read(team.members, "validation"), keys)
    return ready.vote(pool.read(team.members, "test")).predicted


def costs_of(records: Sequence[TrialRecord]) -> dict[str, TrialCost]:
    """The measured costs of the trials' nets, by `trial_id`."""
    return {record.trial_id: record.cost for record in records if record.cost}
