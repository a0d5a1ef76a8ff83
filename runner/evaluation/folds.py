"""From the conclusions of the folds of a sweep to their answers, for the scores over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.analysis.varied_keys import keys_that_vary, show_settings
from ensembles.config import VoteMethod
from ensembles.evaluation.over_folds import ConfigurationAnswers, FoldAnswers
from ensembles.team import Team, team_of_equals
from runner.evaluation.conclusion import Conclusion
from runner.evaluation.team import predict_test
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord


def read_fold(conclusion: Conclusion, keys: Mapping[str, Any] | None = None) -> FoldAnswers:
    """What the team, the best single checkpoint and each configuration answered on test; `keys` are those of plug-ins.

    Raises `StoreError` where the store does not answer.
    """
    assert conclusion.pool is not None
    table, pool, verdict = conclusion.table, conclusion.pool, conclusion.verdict
    labels = table.labels_of("test")
    best = {
        record.trial_id: CheckpointId(record.trial_id, record.best.epoch)
        for record in conclusion.records
        if record.best
    }
    test = pool.read([verdict.best_member, *best.values()], "test")  # with `pool: snapshots` it may lack the others

    def right(team: Team, method: VoteMethod) -> npt.NDArray[np.bool_]:
        return np.asarray(predict_test(pool, team, method, verdict.calibration, keys) == labels)

    varied = keys_that_vary(conclusion.records)
    return FoldAnswers(
        team=right(conclusion.team, verdict.vote),
        best=right(team_of_equals([verdict.best_member]), "soft"),
        groups=None if table.groups is None else tuple(table.groups[row] for row in table.rows("test").tolist()),
        configurations={
            name_configuration(record): ConfigurationAnswers(
                settings=show_settings(record, varied),
                merit=record.best.merit,
                right=test.probabilities[test.position(best[record.trial_id])].argmax(1) == labels,
            )
            for record in conclusion.records
            if record.best and best[record.trial_id] in test.members
        },
    )


def name_configuration(record: TrialRecord) -> str:
    """A name for the trial's configuration that does not depend on the data: the same in every fold."""
    return record.config.model_copy(update={"data_id": ""}).trial_id
